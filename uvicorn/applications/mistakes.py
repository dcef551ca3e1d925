"""Mistakes in lists of routes: kept where they are made, and told all together when the list is served.

`route`, `include` and `mount` do not raise for a mistake: the import would end at the first one. They return a
`Mistaken` in place of an entry, which knows the file and the line of that call. A Router gathers those of its entries,
an include and a mount those of the list inside, and `as_application` raises one RouteError that names them all.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final

from uvicorn.errors import ConsumerError, Mistake, RouteError

__all__ = ["Mistaken", "Mistakes", "place_of_call"]

#: modules whose calls of `route` are made for somebody else
_OURS: Final = (
    __name__,
    "uvicorn.applications.mounting",
    "uvicorn.applications.routing",
    "uvicorn.applications.static",
    "uvicorn.channels1",
)


class Mistakes:
    """Mistakes that are gathered: `with mistakes:` keeps a ConsumerError of its block, and goes on behind it."""

    def __init__(self, found: Iterable[Mistake] = ()) -> None:
        self.found: list[Mistake] = [*found]

    def __bool__(self) -> bool:
        return bool(self.found)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, traceback: TracebackType | None) -> bool:
        if isinstance(error, RouteError):
            self.found += error.mistakes
        elif isinstance(error, ConsumerError):
            self.add(str(error))
        return isinstance(error, ConsumerError)

    def add(self, text: str) -> None:
        """Keep one mistake; its place is that of the call."""
        self.found.append(Mistake(text))

    def check(self) -> None:
        """Raise RouteError if there is any."""
        if self.found:
            raise RouteError(self.found)

    def entry(self) -> Mistaken:
        """Return what stands in a list for the entry that could not be made."""
        place = place_of_call()
        return Mistaken(mistake if mistake.place else mistake._replace(place=place) for mistake in self.found)


class Mistaken:
    """What stands in a list of routes for an entry that could not be made; any use of it raises RouteError."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)

    def __repr__(self) -> str:
        return f"<Mistaken entry: {'; '.join(map(str, self.mistakes))}>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # it is asked what it is, and not used
            raise AttributeError(name)
        raise RouteError(self.mistakes)


def place_of_call() -> str:
    """Return file and line of the innermost call from code that is not ours; the file as seen from where we are."""
    frame = sys._getframe(1)
    while str(frame.f_globals.get("__name__")).startswith(_OURS) and frame.f_back is not None:
        frame = frame.f_back
    file = frame.f_code.co_filename
    shown = os.path.relpath(file) if file.startswith(os.getcwd() + os.sep) else file
    return f"{shown}:{frame.f_lineno}"
