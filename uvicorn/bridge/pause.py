"""A pause of computing, so that the loop gets on between two calls.

Theory of operation
-------------------
A request that is served on the loop needs several turns of it, and each turn gives the interpreter back. While a thread
computes, the loop waits a switch interval for each of them: ten turns, as Django needs, are ten intervals. So when a
call has ended that computed for a short time, its thread keeps its place among those that compute, and nobody else is
let in, until the loop has turned a few times. The work is the same, in another order.

*Bounded twice.* The loop ends the pause after a few turns, whatever it did in them: while it has nothing to do they
take some microseconds each. The thread ends it after twice the time that such a call computes. When that has happened
again and again, the loop is busy with other work than that of these calls, or blocked, and many calls have no pause:
computing keeps its part of the time beside a loop that is never idle. Nothing else decides when it ends: who waits for
the place is let in by the thread, as at the end of each call (`backlog.py`).

*The governor* learns nothing from a loop that has been let pass: wake-ups in a pause are not timed. One call of several
has no pause, and tells it how the loop fares beside computing threads.
"""

from __future__ import annotations

import queue
from time import monotonic
from typing import Any, Final

from uvicorn.bridge.governor import Load
from uvicorn.bridge.outbox import Outbox

__all__ = ["Pause", "Pauses"]

_TURNS: Final = 8  # measured beside calls of 1 ms, Django: 4 gave 2.5 ms at the median, 8 and 12 gave 1.9; none, 19
_EACH: Final = 8  # arbitrary: each eighth call that could be followed by a pause is not
_TOO_SHORT: Final = 16  # pauses in a row that are too short: a loop that is only behind catches up in them
_LEFT_OUT: Final = 256  # pauses, after these: beside a loop that is never idle 0.95 of the calls of 1 ms are made
_LONGEST_SECONDS: Final = 0.002  # of a call: what computes longer has few ends, and its pauses would gain little


class Pauses:
    """Which calls of a pool are followed by a pause. Two threads may meet here: then a call is counted once or not.

    All methods run on: the thread that has made the call.
    """

    __slots__ = ("_count", "_too_short")

    def __init__(self) -> None:
        self._count = 0  # of pauses; negative while some are left out
        self._too_short = 0  # pauses, one after the other

    def seconds_after(self, load: Load, limit: float, held: int) -> float:
        """Return how long the pause after such a call may be; 0.0 for none.

        Args:
            limit: on what computes at once. Above 1 the governor has found nobody whom the computing hurts.
            held: how many wait until they may compute.
        """
        if not held or limit > 1.0 or load.is_light or not load.is_known or load.cpu_seconds > _LONGEST_SECONDS:
            return 0.0
        self._count += 1
        if self._count < 0 or self._count % _EACH == 0:
            return 0.0
        return 2 * load.cpu_seconds

    def on_too_short(self) -> None:
        """The loop has not turned often enough in a pause."""
        self._too_short += 1
        if self._too_short >= _TOO_SHORT:
            self._too_short = 0
            self._count = -_LEFT_OUT

    def on_turned(self) -> None:
        """It has."""
        self._too_short = 0


class Pause:
    """One pause. It begins when it is made, in the thread of the call, before the loop is told of the call's end.

    Args:
        inbox: where the loop puts this when it has turned.
    """

    __slots__ = ("_ends_at", "_inbox", "_outbox", "_turns", "is_over")

    def __init__(self, outbox: Outbox, inbox: queue.SimpleQueue[Any], seconds: float) -> None:
        self.is_over = False
        self._outbox = outbox
        self._inbox = inbox
        self._ends_at = monotonic() + seconds
        self._turns = 0
        outbox.is_untimed = True

    @property
    def seconds_left(self) -> float:
        """How long the thread waits at most."""
        return max(0.0, self._ends_at - monotonic())

    def end(self) -> None:
        """Have the loop's wake-ups timed again. Runs on: the thread."""
        self.is_over = True
        self._outbox.is_untimed = False

    def on_call_ended(self, _: object = None) -> None:
        """Count the turns of the loop from now on. Runs on: the loop."""
        self._outbox.loop.call_soon(self._on_turn)

    def _on_turn(self) -> None:
        self._turns += 1
        if self.is_over:
            return
        if self._turns >= _TURNS:
            self._inbox.put(self)
        else:
            self._outbox.loop.call_soon(self._on_turn)
