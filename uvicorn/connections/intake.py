"""What one client has sent, and when to read more from it. Loop thread only.

An `Intake` gives what was received to whoever takes it, step by step, within the client's share of a turn (`turns.py`).
While anything is left the server reads no more from this client: so one client's bytes that wait here are those of one
read (uvloop: 256,000 bytes), whatever it sends. The same holds while somebody has a reason to stop: the consumer is
behind with a body, too many requests are in flight, ...
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from uvicorn.connections.turns import SHARE, STEP_BYTES, Turns

__all__ = ["BACKLOG", "BODY", "PIPELINE", "PONGS", "UNREAD", "Intake"]

# Reasons to stop reading; bits, so that they can hold at the same time.
UNREAD: Final = 1  # something that was received waits for its turn
BODY: Final = 2  # the consumer, or the disk, is behind with the request's body
PIPELINE: Final = 4  # as many requests wait as one connection may have in flight
BACKLOG: Final = 8  # the consumer is behind with a socket's messages
PONGS: Final = 16  # the client pings and does not take the pongs

_PATIENCE: Final = 65536  # bytes that are read ahead while nothing is taken yet; arbitrary


class Intake:
    """What one client has sent and nobody has taken.

    Args:
        turns: the budget of the worker.
        take: given the bytes and where to begin, it takes one step and returns where the next one begins; the same
            place if it takes nothing yet, and will say `go_on`. Must not raise.
        on_paused: called when all is taken, or the rest waits for its turn. Must not raise.

    Attributes:
        reasons: why reading is stopped; 0 if it is not.
        more_steps: steps that the last one was worth, beside itself; set by who takes.
        transport: where to stop reading; set when the connection is made.
    """

    __slots__ = (
        "_at", "_data", "_is_queued", "_is_working", "_on_paused", "_take", "_turns", "more_steps", "reasons",
        "transport",
    )  # fmt: skip

    def __init__(self, turns: Turns, take: Callable[[bytes, int], int], on_paused: Callable[[], None]) -> None:
        self._turns = turns
        self._take = take
        self._on_paused = on_paused
        self._data = b""
        self._at = 0
        self._is_queued = False
        self._is_working = False
        self.reasons = 0
        self.more_steps = 0
        self.transport: asyncio.Transport | None = None

    @property
    def is_working(self) -> bool:
        """Whether this is a part of `work`, so that `on_paused` will be called."""
        return self._is_working

    @property
    def waiting_bytes(self) -> int:
        """How many bytes were received and not taken."""
        return len(self._data) - self._at

    @property
    def is_held(self) -> bool:
        """Whether somebody has a reason to stop, beside what waits for its turn."""
        return self.reasons > UNREAD

    def receive(self, data: bytes) -> None:
        """Take in what was received, or keep it for its turn."""
        self._data = self._data[self._at :] + data if self._data else data
        self._at = 0
        if not self._is_queued and not self._is_working:
            self.work()

    def work(self) -> None:
        """Have taken what the share of this turn allows."""
        self._is_queued = False
        self._is_working = True
        turns = self._turns
        share = SHARE
        while self._data and self.reasons <= UNREAD:
            if share <= 0 or turns.left <= 0:
                self._queue()
                break
            data, at = self._data, self._at
            end = self._take(data, at)
            if end == at and self._data is data:
                break
            steps = 1 + (end - at) // STEP_BYTES + self.more_steps
            self.more_steps = 0
            share -= steps
            turns.spend(steps)
            if self._data is data:  # not dropped meanwhile
                if end < len(data):
                    self._at = end
                else:
                    self._data = b""
                    self._at = 0
        self._is_working = False
        self._on_paused()
        if self._is_queued or self.waiting_bytes > _PATIENCE or (self._data and self.reasons):
            self.hold(UNREAD)
        elif self._data:
            return
        else:
            self.release(UNREAD)

    def hand_over(self, take: Callable[[bytes, int], int], on_paused: Callable[[], None] | None = None) -> None:
        """Have another one take what comes from here on, and be told of pauses, if it wants to."""
        self._take = take
        if on_paused is not None:
            self._on_paused = on_paused

    def note_taken(self, at: int) -> None:
        """What comes before `at` is taken, though whoever takes it has not returned: an answer may be given there.

        A head that came alone was never here, and nothing is to be noted.
        """
        if self._data:
            self._at = at

    def go_on(self) -> None:
        """Have what waits taken in a turn to come: it is wanted now."""
        if self._data:
            self._queue()

    def drop(self) -> None:
        """Forget what was received and not taken."""
        self._data = b""
        self._at = 0
        self.release(UNREAD)

    def hold(self, reason: int) -> None:
        """Stop reading, for this reason too."""
        if not self.reasons:
            transport = self.transport
            if transport is not None and not transport.is_closing():
                transport.pause_reading()
        self.reasons |= reason

    def release(self, reason: int) -> None:
        """Read on, if this was the last reason to stop; first what waits is taken, when it is its turn."""
        if not self.reasons & reason:
            return
        self.reasons &= ~reason
        if not self.reasons:
            transport = self.transport
            if transport is not None and not transport.is_closing():
                transport.resume_reading()
        elif self.reasons == UNREAD and not self._is_working:
            self._queue()

    def _queue(self) -> None:
        if not self._is_queued:
            self._is_queued = True
            self._turns.wait(self)
