"""Other shapes of applications and of entries in a list of routes: what knows one makes ours of it.

`uvicorn.channels1` is such a one. It registers itself when it is imported, and whoever has a route of it has imported
it; so this room need not know it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["entry_of", "register", "whole_of"]

_entries: list[Callable[[Any], Any]] = []
_wholes: list[Callable[[Any], Any]] = []


def register(entry: Callable[[Any], Any], whole: Callable[[Any], Any]) -> None:
    """Take the two functions that know a shape; each returns what is not of it as it is.

    Args:
        entry: makes a Route, Include, Mount or Mistaken of one entry.
        whole: makes a list of entries of what was loaded to be served.
    """
    _entries.append(entry)
    _wholes.append(whole)


def entry_of(given: Any) -> Any:
    """Return an entry of ours for what stands in a list of routes."""
    for make in _entries:
        given = make(given)
    return given


def whole_of(loaded: Any) -> Any:
    """Return an application of ours for what was loaded."""
    for make in _wholes:
        loaded = make(loaded)
    return loaded
