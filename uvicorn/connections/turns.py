"""The budget of a turn of the loop: nobody's bytes hold up the others.

Theory of operation
-------------------
uvloop reads every ready socket in one turn, up to 256,000 bytes each: 40,000 messages of one byte, or thousands of
pipelined requests. So what clients send is taken in by *steps* (a head, a frame, a piece of a body), and steps are
counted twice:

- each client has a share of a turn (`SHARE`). What it has sent beyond that waits in its `Intake`, behind those of the
  others, and the server reads no more from it meanwhile;
- all of them together have a budget (`STEPS`). When it is spent, whoever is read next waits in the same queue.

Those who wait get half of the next turn at most; the other half is for what comes fresh, so that a crowd that floods
cannot keep a newcomer waiting for longer than its place in the queue.

What files may send in one turn is counted in the same way, in bytes (`file_turns.py`). There all wait in the queue as
long as there is one (`admits`), and those who wait get all of the next turn.

A turn is not told to us. The budget is filled up by a callback that is arranged when it begins to run low: at little
load it costs nothing. Loop thread only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

__all__ = ["SHARE", "STEPS", "STEP_BYTES", "Turns"]

SHARE: Final = 16  # steps of one client in one turn
STEPS: Final = 512  # steps of all clients in one turn: about 20 ms of small requests; arbitrary
STEP_BYTES: Final = 65536  # so many bytes count as one step more
_LOW: Final = STEPS - 64
_KEPT: Final = STEPS // 2


class Waiting(Protocol):
    """What waits for a turn."""

    def work(self) -> None:
        """Do what may be done at once. Must not raise."""


class Turns:
    """What all connections of a worker may do in one turn, and those that wait for the next one.

    Args:
        call_soon: the loop's.
        most: the budget of a turn.
        low: with less than this left, the budget is filled up in the next turn.
        kept: so much of a turn is not for those that wait.

    Attributes:
        left: what is left of this turn; below 1 for nothing.
    """

    __slots__ = ("_call_soon", "_is_arranged", "_is_working", "_kept", "_low", "_most", "_waiting", "left")

    def __init__(self, call_soon: Callable[..., Any], most: int = STEPS, low: int = _LOW, kept: int = _KEPT) -> None:
        self._call_soon = call_soon
        self._waiting: deque[Waiting] = deque()
        self._is_arranged = self._is_working = False
        self._most = self.left = most
        self._low = low
        self._kept = kept

    def __len__(self) -> int:
        return len(self._waiting)

    def spend(self, steps: int) -> None:
        """Count what was done."""
        self.left -= steps
        if self.left < self._low:
            self._arrange()

    def admits(self, waiting: Waiting) -> bool:
        """Whether this one may go on now; if not, it works when it is its turn."""
        if self.left > 0 and (self._is_working or not self._waiting):
            return True
        self.wait(waiting)
        return False

    def wait(self, waiting: Waiting) -> None:
        """Have this one work in a turn to come, behind those that wait already."""
        self._waiting.append(waiting)
        self._arrange()

    def _arrange(self) -> None:
        if not self._is_arranged:
            self._is_arranged = True
            self._call_soon(self._begin)

    def _begin(self) -> None:
        self._is_arranged = False
        self.left = self._most
        self._is_working = True
        for _ in range(len(self._waiting)):
            if self.left <= self._kept:
                break
            self._waiting.popleft().work()
        self._is_working = False
        if self._waiting:
            self._arrange()
