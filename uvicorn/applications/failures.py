"""An application that could not be loaded, or could not start: what is said of it, and what is served in its place."""

from __future__ import annotations

import os
import traceback
from types import TracebackType
from typing import Any, Final

from gunicorn.errors import AppImportError

from uvicorn.applications.mounting import as_application
from uvicorn.applications.router import SingleConsumer
from uvicorn.errors import StartupError

__all__ = ["failing_application", "failure_text", "files_of", "part_of_application", "short_reason"]

_HERE: Final = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")
_CALLERS: Final = tuple(os.sep + name + os.sep for name in ("gunicorn", "uvloop", "importlib", "asyncio"))


def failure_text(error: BaseException) -> str:
    """Return the traceback of what went wrong while an application was loaded, from its own first frame on.

    What we have found out ourselves is one sentence.
    """
    if isinstance(error, (AppImportError, StartupError)):
        cause = "" if error.__cause__ is None else f"\n{failure_text(error.__cause__)}"
        return f"{error}\n{cause}"
    shown = traceback.TracebackException.from_exception(error)
    seen: set[int] = set()
    parts = [shown]
    while parts:
        part = parts.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        first = next((number for number, frame in enumerate(part.stack) if not _is_ours(frame.filename)), 0)
        del part.stack[:first]
        parts += [other for other in (part.__cause__, part.__context__) if other is not None]
    return "".join(shown.format())


def part_of_application(error: BaseException) -> TracebackType | None:
    """Return the traceback of an error from the application's own first frame on; all of it if there is none."""
    part = error.__traceback__
    while part is not None and _is_ours(part.tb_frame.f_code.co_filename):
        part = part.tb_next
    return error.__traceback__ if part is None else part


def short_reason(error: BaseException) -> str:
    """Return what went wrong while an application was loaded, in one line: what was raised, and where."""
    if isinstance(error, (AppImportError, StartupError)):
        cause = "" if error.__cause__ is None else f" {short_reason(error.__cause__)}"
        return " ".join(f"{error}{cause}".split())
    lines = traceback.TracebackException.from_exception(error)
    where = next((frame for frame in reversed(lines.stack) if not _is_ours(frame.filename)), None)
    place = "" if where is None else f" ({where.filename}:{where.lineno})"
    return " ".join(f"{type(error).__name__}: {error}{place}".split())


def files_of(error: BaseException) -> list[str]:
    """Return the files that were being imported when this was raised: no module of them is kept by Python."""
    found: list[str] = []
    current: BaseException | None = error
    seen: set[int] = set()
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        if isinstance(current, SyntaxError) and current.filename:
            found.append(current.filename)
        for frame, _ in traceback.walk_tb(current.__traceback__):
            found.append(frame.f_code.co_filename)
        current = current.__cause__ or current.__context__
    return [path for path in dict.fromkeys(found) if os.path.exists(path) and not _is_ours(path)]


def failing_application(text: str) -> SingleConsumer:
    """Return an application that answers each request with 500 and this text; for `--reload`."""
    content = text.encode("utf-8", "backslashreplace")
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]

    async def show_error(message: Any) -> None:
        message["reply_channel"].send({"status": 500, "headers": headers, "content": content})

    application = as_application(show_error)
    assert isinstance(application, SingleConsumer)
    return application


def _is_ours(filename: str) -> bool:
    """Whether a frame is that of who called the application, or of Python's import."""
    return filename.startswith((_HERE, "<frozen ", "uvloop/")) or any(caller in filename for caller in _CALLERS)
