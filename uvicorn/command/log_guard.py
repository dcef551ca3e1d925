"""What happens when a log cannot be written: one line at the begin of such a time, and one at its end.

Theory of operation
-------------------
When a handler of `logging` fails to write, it prints a traceback to the standard error: with a full disk under the
access log, one for each request. Here the handlers of Gunicorn's loggers get another `handleError`. The first failure
begins an *episode*, which is told in the error log; further ones are counted; the first record that is written again
ends it. While there is an episode, and only then, the handler's `emit` is watched.

If the handler that fails is one of the error log's own, the standard error is told, if that is not what fails.

What does not come from the system (a mistake in the application's logging) is left to `logging`. A handler is called
under its own lock, so an episode needs none. Any thread may log.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any, Final

__all__ = ["Episode", "guard_logs"]


class Episode:
    """A time in which something fails again and again: tells what is to be told, and counts the rest.

    Attributes:
        count: how often it has failed since it began; 0 if it does not fail.
    """

    def __init__(self) -> None:
        self.count = 0

    def on_failed(self) -> bool:
        """It has failed. Returns: whether that is the first time."""
        self.count += 1
        return self.count == 1

    def on_succeeded(self) -> int:
        """It has succeeded. Returns: how many failures this ends."""
        count, self.count = self.count, 0
        return count


def guard_logs(log: Any) -> None:
    """Guard the handlers of a Gunicorn logger, and those that its loggers hand their records to.

    A logger of somebody's own, without these attributes, is left alone.
    """
    access, error = getattr(log, "access_log", None), getattr(log, "error_log", None)
    guarded: list[logging.Handler] = []
    for name, logger in (("the error log", error), ("the access log", access)):
        if not isinstance(logger, logging.Logger) or not isinstance(error, logging.Logger):
            continue
        for handler in _handlers_of(logger):
            if not any(handler is other for other in guarded):
                guarded.append(handler)
                _Guard(handler, name, None if logger is error else error)


def _handlers_of(logger: logging.Logger) -> Iterator[logging.Handler]:
    current: logging.Logger | None = logger
    while current is not None:
        yield from current.handlers
        current = current.parent if current.propagate else None


class _Guard:
    """What watches over one handler.

    Args:
        name: what is written by it, in words.
        teller: where to tell of it; None for the standard error.
    """

    def __init__(self, handler: logging.Handler, name: str, teller: logging.Logger | None) -> None:
        self._handler: Final[Any] = handler
        self._name = name
        self._teller = teller
        self._episode = Episode()
        self._leave_to_logging = handler.handleError
        self._emit = handler.emit
        self._has_failed = False
        handler.handleError = self._on_failed  # type: ignore[method-assign]  # of this handler alone

    def _on_failed(self, record: logging.LogRecord) -> None:
        """A record could not be written; called in an `except` block of the handler."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self._leave_to_logging(record)
            return
        self._has_failed = True
        if self._episode.on_failed():
            self._handler.emit = self._watched_emit
            self._tell("Cannot write %s: %s; what comes now is lost, until it can be written again", self._name, error)

    def _watched_emit(self, record: logging.LogRecord) -> None:
        self._has_failed = False
        self._emit(record)
        if self._has_failed:
            return
        self._handler.emit = self._emit
        count = self._episode.on_succeeded()
        self._tell("%s can be written again; about %d lines were lost", self._name.capitalize(), count)

    def _tell(self, text: str, *args: object) -> None:
        if self._teller is not None:
            self._teller.error(text, *args)
            return
        stream = sys.__stderr__
        if stream is None or getattr(self._handler, "stream", None) in (stream, sys.stderr):
            return  # it is what cannot be written
        try:
            print(text % args, file=stream, flush=True)
        except (OSError, ValueError):
            pass  # nobody is left to tell
