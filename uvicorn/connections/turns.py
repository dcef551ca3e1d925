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


class Waiting(Protocol):
    """What waits for a turn."""

    def work(self) -> None:
        """Take in what the share allows. Must not raise."""


class Turns:
    """What all connections of a worker may take in during one turn, and those that wait for the next one.

    Args:
        call_soon: the loop's.

    Attributes:
        left: steps that are left in this turn; below 1 for none.
    """

    __slots__ = ("_call_soon", "_is_arranged", "_waiting", "left")

    def __init__(self, call_soon: Callable[..., Any]) -> None:
        self._call_soon = call_soon
        self._waiting: deque[Waiting] = deque()
        self._is_arranged = False
        self.left = STEPS

    def __len__(self) -> int:
        return len(self._waiting)

    def spend(self, steps: int) -> None:
        """Count what was taken in."""
        self.left -= steps
        if self.left < _LOW:
            self._arrange()

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
        self.left = STEPS
        for _ in range(len(self._waiting)):
            if self.left <= STEPS // 2:
                break
            self._waiting.popleft().work()
        if self._waiting:
            self._arrange()
