"""When a worker has grown too large, or too old, and whose turn it is to leave. Looked at once a second, on the loop.

Theory of operation
-------------------
A worker that wants to leave says so on the board (`wants_to_leave`). It does so when it is its turn: all siblings have
started, none stops or is being replaced, and nobody with an earlier place wants to leave, too. So of all workers that
grow old together one leaves after the other, each when the one before has been replaced. A worker that is past the hard
bound asks nobody.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Final

from uvicorn.watching.board import Sheet
from uvicorn.watching.settings import Bounds

__all__ = ["Retirement", "is_turn_of"]

_JITTER: Final = 0.1  # of `max_age`, that a worker may get older; arbitrary

NO: Final = ""
SOON: Final = "soon"
NOW: Final = "now"


class Retirement:
    """What decides for one worker.

    Args:
        clock: seconds, monotonic.
        memory: returns the resident bytes.

    Attributes:
        reason: why the worker wants to leave; "" if it does not.
    """

    def __init__(
        self,
        bounds: Bounds,
        clock: Callable[[], float],
        memory: Callable[[], int],
        part: Callable[[], float] = random.random,
    ) -> None:
        self.reason = ""
        self._bounds = bounds
        self._clock = clock
        self._memory = memory
        self._end = clock() + bounds.max_age * (1 + _JITTER * part()) if bounds.max_age else 0.0

    def look(self) -> str:
        """Return whether the worker is to leave: NO, SOON (in its turn), or NOW."""
        bounds = self._bounds
        if bounds.max_rss or bounds.max_rss_hard:
            memory = self._memory()
            if bounds.max_rss_hard and memory > bounds.max_rss_hard:
                self.reason = f"it has {memory} bytes, more than max_rss_hard ({bounds.max_rss_hard})"
                return NOW
            if bounds.max_rss and memory > bounds.max_rss:
                self.reason = f"it has {memory} bytes, more than max_rss ({bounds.max_rss})"
        if self._end and not self.reason and self._clock() >= self._end:
            self.reason = f"it is older than max_age ({bounds.max_age:g} seconds)"
        return SOON if self.reason else NO


def is_turn_of(pid: int, sheets: Iterable[Sheet]) -> bool:
    """Whether a worker that wants to leave may do so, by what all tell of themselves."""
    first = 0
    for sheet in sheets:
        if not sheet.pid:
            continue
        facts = sheet.facts
        if sheet.pid != pid and (not facts.get("is_started") or facts.get("is_stopping") or facts.get("is_leaving")):
            return False
        if facts.get("wants_to_leave") and not first:
            first = sheet.pid
    return first == pid
