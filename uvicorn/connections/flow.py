"""High and low water: when to stop reading from a client, and when it has caught up.

Pure state; the transport is told by the caller's two functions. Loop thread only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["BODY", "PIPELINE", "ReadGate", "WriteGate"]

# Reasons to stop reading; bits, so that they can hold at the same time.
BODY: Final = 1  # the consumer, or the disk, is behind with the request's body
PIPELINE: Final = 2  # as many requests wait as one connection may have in flight


class ReadGate:
    """Stop reading while there is a reason to, and read on when there is none.

    Args:
        pause: stops reading (the transport's `pause_reading`).
        resume: reads on.
    """

    __slots__ = ("_pause", "_resume", "reasons")

    def __init__(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._pause = pause
        self._resume = resume
        self.reasons = 0

    def hold(self, reason: int) -> None:
        """Add a reason to stop."""
        if not self.reasons:
            self._pause()
        self.reasons |= reason

    def release(self, reason: int) -> None:
        """Take a reason away."""
        if self.reasons & reason:
            self.reasons &= ~reason
            if not self.reasons:
                self._resume()


class WriteGate:
    """Know whether the client has caught up, and tell those who wait for it."""

    __slots__ = ("is_open", "waiters")

    def __init__(self) -> None:
        self.is_open = True
        self.waiters: list[Callable[[], None]] = []

    def close(self) -> None:
        """Learn that the client is behind (the transport's `pause_writing`)."""
        self.is_open = False

    def open(self) -> None:
        """Learn that the client has caught up, or left, and tell those who wait."""
        self.is_open = True
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            waiter()

    def wait(self, waiter: Callable[[], None]) -> None:
        """Have `waiter` called once, at the next `open`."""
        self.waiters.append(waiter)
