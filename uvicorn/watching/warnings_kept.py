"""The last warnings of a worker, kept for whoever asks."""

from __future__ import annotations

import logging
from collections import deque
from typing import Any, Final

__all__ = ["KeptWarnings"]

_MOST: Final = 20  # arbitrary
_MOST_CHARACTERS: Final = 2000  # of one; arbitrary


class KeptWarnings(logging.Handler):
    """What keeps the last records of level WARNING and above."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.kept: deque[tuple[float, str, str]] = deque(maxlen=_MOST)  # time.time(), level, text

    def install(self, log: Any) -> None:
        """Listen to the error log of a Gunicorn logger, if it is one."""
        error_log = getattr(log, "error_log", None)
        if isinstance(error_log, logging.Logger):
            error_log.addHandler(self)

    def remove(self, log: Any) -> None:
        """Listen no more."""
        error_log = getattr(log, "error_log", None)
        if isinstance(error_log, logging.Logger):
            error_log.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        try:
            text = record.getMessage()[:_MOST_CHARACTERS]
        except Exception:  # a mistake in the call of the log: whoever writes it tells
            return
        self.kept.append((record.created, record.levelname, text))

    def told(self) -> list[list[Any]]:
        """Return [time, level, text] of each, the oldest first. Runs on: any thread."""
        return [list(one) for one in self.kept.copy()]
