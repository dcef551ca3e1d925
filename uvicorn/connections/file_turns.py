"""What all files on their way may take of one turn of the loop: pure state. Loop thread only.

To copy 2 MiB into a socket takes the system some tenths of a millisecond. A hundred clients that take as fast as that
would hold the loop for as many in each turn. So all of them together have a budget; who finds it spent waits in a
queue, and as long as there is a queue, everybody goes to its end: they are served in turn, whoever the system names
first.

A turn is not told to us: the budget is filled up by a callback that is arranged with the first bytes of a turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

__all__ = ["FileTurns"]

_MOST: Final = 8388608  # bytes of all files in one turn: about a millisecond; arbitrary


class Waiting(Protocol):
    """A response that waits for its turn."""

    def work(self) -> None:
        """Send what may be sent at once. Must not raise."""


class FileTurns:
    """The budget of a turn, and the responses that wait for the next one.

    Args:
        call_soon: the loop's.
    """

    __slots__ = ("_call_soon", "_is_arranged", "_is_working", "_left", "_waiting")

    def __init__(self, call_soon: Callable[..., Any]) -> None:
        self._call_soon = call_soon
        self._waiting: deque[Waiting] = deque()
        self._is_arranged = self._is_working = False
        self._left = _MOST

    def __len__(self) -> int:
        return len(self._waiting)

    def admits(self, waiting: Waiting) -> bool:
        """Whether this one may send now; if not, it works when it is its turn."""
        if self._left > 0 and (self._is_working or not self._waiting):
            return True
        self._waiting.append(waiting)
        self._arrange()
        return False

    def spend(self, size: int) -> None:
        """Count bytes that were sent."""
        self._left -= size
        self._arrange()

    def _arrange(self) -> None:
        if not self._is_arranged:
            self._is_arranged = True
            self._call_soon(self._begin)

    def _begin(self) -> None:
        self._is_arranged = False
        self._left = _MOST
        self._is_working = True
        for _ in range(len(self._waiting)):
            if self._left <= 0:
                break
            self._waiting.popleft().work()
        self._is_working = False
        if self._waiting:
            self._arrange()
