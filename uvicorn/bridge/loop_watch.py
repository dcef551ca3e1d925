"""Find out that the loop does not turn, why, and who keeps it.

Theory of operation
-------------------
A thread of its own (`watchdog.py`) looks every few hundredths of a second. It sends the loop a *ping*, one call through
`call_soon_threadsafe`, and the loop answers in its next turn. While there is no answer the loop has not turned since
the ping; from half of `seconds` on the thread looks where the loop's thread stands. Nothing of it is on the way of a
request. A loop that rests is not woken for it: its thread stands where the loop waits for events, and what the system
tells of it has not changed since the last look. Once a second it is, all the same: a block that C code began right
behind an answer looks like rest.

*Whose fault.* A turn in which a hundred requests were served may take long, and nobody has blocked it. So a block is
one *unit* of work: the same task, and no head read since. When the unit changes the time begins anew.

*Which cause.* What the system tells of the loop's thread (`scheduling.py`) tells apart a call that waits, computing, a
loop that does not get the interpreter, and a machine that had no time. The thread that looks needs the interpreter
itself: when it is late, C code has kept the interpreter, garbage was collected, or the process stood still. That can be
told only afterwards, but then exactly where: C code gives the interpreter away when it returns, and so the thread that
ran it still stands at its line.

*For ever.* A wait on the loop for the loop itself is told at once, and ended (`self_waits.py`).

*Told once.* A block that lasts is told after a second and once more when it has ended; a shorter one when it has ended.
The same place is told once a minute.

`LoopWatch` is what looks; `watchdog.py` has the thread. The loop's thread runs `_answer` alone; both sides write
attributes of their own. `loop_reports.py` has the words.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Final

from uvicorn.bridge.garbage import GarbagePauses
from uvicorn.bridge.loop_reports import Looks, LoopReports
from uvicorn.bridge.outbox import Log, Outbox
from uvicorn.bridge.scheduling import Cause, Spent, cause_of_block, cause_of_lateness
from uvicorn.bridge.suspects import Suspect
from uvicorn.bridge.thread_times import Clocks, SystemClocks, ThreadTimes

__all__ = ["LoopWatch", "period_of"]

_REST_SECONDS: Final = 1.0  # between two pings, at most
_LASTS_SECONDS: Final = 1.0  # a block that is longer is told while it lasts
_MOST_LOOKS: Final = 20  # at one block; arbitrary
_FEW: Final = 4  # switch intervals that are no time to speak of
_ALMOST_ALL: Final = 0.7  # of the computing of all threads


class _Block:
    """A time in which the loop has not turned."""

    def __init__(self, since: float, unit: object, spent: Spent | None, process_cpu: float, collected: float) -> None:
        self.since = since
        self.unit = unit
        self.spent = spent
        self.process_cpu = process_cpu
        self.collected = collected
        self.looks = 0
        self.seen: list[Suspect] = []
        self.told: str | None = None  # what was told while it lasted


class LoopWatch:
    """What looks at one loop. All methods run on: the watchdog's thread, unless they say otherwise.

    Args:
        seconds: how long the loop may not turn before it is told.
        looks: find out who runs.
        garbage: tells how long the collector worked.
        loop_native_id: the system's number of the loop's thread.

    Attributes:
        lag_seconds, longest_lag, answers: from pings to their turns; written by the loop alone.
        blocks: how many were found, by cause; `blocked_seconds` how long they took.
        own_wait_seconds: how long this thread waited beyond its time: for the interpreter, or a processor.
        looks_made: how often it looked.
    """

    def __init__(
        self,
        outbox: Outbox,
        log: Log,
        seconds: float,
        looks: Looks,
        garbage: GarbagePauses,
        loop_native_id: int,
        clocks: Clocks | None = None,
    ) -> None:
        self.lag_seconds = self.longest_lag = 0.0
        self.answers = 0
        self.on_lag: Callable[[float], None] = lambda lag: None  # called on the loop
        self.blocks: Counter[Cause] = Counter()
        self.blocked_seconds: dict[Cause, float] = dict.fromkeys(Cause, 0.0)
        self.own_wait_seconds = 0.0
        self.looks_made = 0
        self.period: Final = period_of(seconds)
        self._loop = outbox.loop
        self._loop_thread = outbox.loop_thread
        self._native_id = loop_native_id
        self._seconds = seconds
        self._looks = looks
        self._garbage = garbage
        self._reports = LoopReports(log, looks, garbage)
        self._clocks = clocks or SystemClocks()
        self._times = ThreadTimes(self._clocks)
        self._pinged_at = 0.0  # the last ping
        self._answered = 0.0  # the last ping that was
        self._answered_at = 0.0
        self._has_pinged = False  # at the last look
        self._loop_spent: Spent | None = None  # at that look; not read at one that finds the loop silent
        self._own_id = 0
        self._looked_at = 0.0
        self._last = (0.0, 0.0)  # CPU time of the process, and seconds of collections, at the last look
        self._own: Spent | None = None
        self._block: _Block | None = None

    def begin(self) -> None:
        """Take the time; the first ping is sent by the first look."""
        self._own_id = self._clocks.own_id()
        for native_id in (self._own_id, self._native_id):
            self._clocks.keep(native_id)
        self._note(self._clocks.now())

    def end(self) -> None:
        """Look no more."""
        self._clocks.close()

    def look(self) -> None:
        """Look once; called every `period` seconds."""
        now = self._clocks.now()
        late = now - self._looked_at - self.period
        self.looks_made += 1
        self.own_wait_seconds += max(0.0, late)
        if late >= self._seconds:
            self._was_late(late, now)
            if self._block is not None and self._block.told is None:
                self._block = self._new_block(now, self._looks.unit())  # that time is accounted for
        if self._answered >= self._pinged_at:
            self._ended(now)
            self._has_pinged = not self._is_resting(now)
            if self._has_pinged:
                self._ping(now)
        else:
            self._silent(now)
        self._note(now)

    def silent_seconds(self) -> float:
        """How long a ping has had no answer; 0.0 if the loop turns. Runs on: any thread."""
        pinged = self._pinged_at
        return self._clocks.now() - pinged if self._answered < pinged else 0.0

    def _note(self, now: float) -> None:
        """Remember the numbers, to compare with them at the next look."""
        self._looked_at = now
        self._last = self._clocks.process_cpu(), self._garbage.seconds_so_far
        self._own = self._clocks.spent(self._own_id)
        self._times.note(now)

    def _is_resting(self, now: float) -> bool:
        """Whether the loop waits for events, and has done nothing since the last look, but for answering its ping."""
        spent, before = self._clocks.spent(self._native_id), self._loop_spent
        self._loop_spent = spent
        if spent is None or now - self._pinged_at >= _REST_SECONDS:
            return False
        return spent == before or (self._has_pinged and self._looks.is_idle())

    def _ping(self, now: float) -> None:
        block = self._new_block(now, self._looks.unit())  # first: a ping without a block would be taken for one
        self._pinged_at, self._block = now, block
        try:
            self._loop.call_soon_threadsafe(self._answer, now)
        except RuntimeError:  # the loop is closed
            self._pinged_at, self._block = self._answered, None

    def _new_block(self, since: float, unit: object) -> _Block:
        clocks = self._clocks
        return _Block(since, unit, clocks.spent(self._native_id), clocks.process_cpu(), self._garbage.seconds_so_far)

    def _answer(self, pinged: float) -> None:
        """The loop has turned. Runs on: the loop."""
        now = self._clocks.now()
        lag = now - pinged
        self.lag_seconds += lag
        self.answers += 1
        self.longest_lag = max(self.longest_lag, lag)
        self._answered_at = now
        self._answered = pinged
        self.on_lag(lag)

    # ---- a loop that does not answer ----

    def _silent(self, now: float) -> None:
        block = self._block
        assert block is not None
        unit = self._looks.unit()
        if unit != block.unit and block.told is None:
            self._block = block = self._new_block(self._looked_at, unit)
        if now - block.since < self._seconds / 2:
            return
        block.looks += 1
        if block.looks <= _MOST_LOOKS:
            suspect = self._looks.on_loop()
            if suspect is not None:
                block.seen.append(suspect)
        seconds = now - block.since
        wait = self._looks.self_wait() if seconds >= self._seconds else None
        if wait is not None:  # it may be the second one in this turn: whoever got the error may go on and wait again
            told = self._reports.self_wait(wait, self._looks.on_loop(), seconds, now)
            block.told = told or block.told or ""
            wait.end()
            return
        if seconds >= max(_LASTS_SECONDS, self._seconds) and block.told is None:
            cause = self._cause_of(block, now)
            if cause is not Cause.MACHINE:  # on a busy machine it takes long until it is known who computes
                block.told = self._reports.block(cause, block.seen, seconds, now, " so far")

    def _ended(self, now: float) -> None:
        block, self._block = self._block, None
        if block is None:
            return
        seconds = self._answered_at - block.since
        if seconds < self._seconds or not block.looks:
            return
        cause = self._cause_of(block, now)
        self._count(cause, seconds)
        if block.told is None:
            self._reports.block(cause, block.seen, seconds, now)
        elif block.told:
            self._reports.end(block.told, seconds)

    def _cause_of(self, block: _Block, now: float) -> Cause:
        clocks = self._clocks
        spent = clocks.spent(self._native_id)
        delta = spent.since(block.spent) if spent is not None and block.spent is not None else None
        return cause_of_block(
            now - block.since,
            delta,
            clocks.process_cpu() - block.process_cpu - (delta.cpu_seconds if delta is not None else 0.0),
            self._garbage.seconds_so_far - block.collected,
            sys.getswitchinterval(),
            self._seconds,
        )

    def _count(self, cause: Cause, seconds: float) -> None:
        self.blocks[cause] += 1
        self.blocked_seconds[cause] += seconds

    def _was_late(self, late: float, now: float) -> None:
        """Nobody could look for a while: find out why, and tell."""
        clocks, reports, interval = self._clocks, self._reports, sys.getswitchinterval()
        own = clocks.spent(self._own_id)
        spent = own.since(self._own) if own is not None and self._own is not None else None
        process_cpu, collected = self._last
        computed = clocks.process_cpu() - process_cpu
        cause = cause_of_lateness(late, spent, computed, self._garbage.seconds_so_far - collected, interval)
        is_computing = computed >= min(late / 2, self._seconds)
        if cause is Cause.HELD and not is_computing and self._times.longest_ready(late, now) >= late / 2:
            cause = Cause.MACHINE  # whoever had the interpreter had no processor
        holder, share = self._times.busiest(late) if cause is Cause.HELD else (0, 0.0)
        if cause is Cause.HELD and (late <= _FEW * interval or 0.0 < share < _ALMOST_ALL):
            cause = Cause.INTERPRETER  # several threads take turns
        self._count(cause, late)
        if cause is not Cause.HELD:
            reports.block(cause, (), late, now)
            return
        is_elsewhere = holder not in (0, self._loop_thread)
        reports.held(self._looks.in_thread(holder) if is_elsewhere else self._looks.on_loop(), late, now)


def period_of(seconds: float) -> float:
    """Return how often to look, so that what lasts for `seconds` is seen; in seconds."""
    return min(max(seconds / 5, 0.005), 0.5)
