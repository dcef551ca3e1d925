"""Watch a busy pool, and have the governor set its limit. Loop thread only.

Theory of operation
-------------------
The pool says when it is busy (`watch`). From then on a timer takes a sample each 10 ms, until the pool has been quiet
for a second. So there is no timer in an idle or lightly loaded server. While there is one, a request costs two looks at
the clock per wake-up of the loop at most. A few calls per sample are measured, and only while there is a limit.

A sample is made of sums that fade: what was seen ten samples ago counts a third, and what was seen before the
last change of the limit nothing at all, because it tells of another limit.

The CPU time of the threads is that of the process without the loop's thread. Where there are several pools, each has a
sampler of its own, and sees the lag and the computing of all: each backs off when together they are too many. Where
the process does other things than to serve, the threads of all pools of one server are asked each for its own time.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from uvicorn.bridge.governor import Sample, decide
from uvicorn.bridge.outbox import Log, Outbox

__all__ = ["Governed", "PoolSampler", "own_clocks", "read_clocks", "reason_against"]

_PERIOD_SECONDS: Final = 0.01
_TIMER_SECONDS: Final = 0.001  # how late a timer of uvloop is by itself
_FADING: Final = 0.9  # of each sum, per sample
_FEW_WAKE_UPS: Final = 20.0  # so many do not fade: an average of less is that of chance
_SILENT_SAMPLES: Final = 10  # arbitrary: when the loop was not woken for so long, what its last turns told is old
_QUIET_SAMPLES: Final = 100
_LIMIT_AFTER_QUIET: Final = 4.0  # at least: a few requests after a quiet time are not held back
_MEASURED_CALLS: Final = 4  # per sample; arbitrary
_LOG_SECONDS: Final = 1.0  # between two lines


class Governed(Protocol):
    """What is governed: a pool, or what can be limited like one."""

    on_busy: Callable[[], None] | None

    @property
    def threads(self) -> int:
        """The highest limit."""

    @property
    def limit(self) -> float:
        """The limit that is set."""

    @property
    def weight(self) -> float:
        """What the running jobs add up to."""

    @property
    def held(self) -> int:
        """How many the limit keeps back."""

    @property
    def first_held(self) -> object:
        """The one of them that is next, or None."""

    @property
    def is_busy(self) -> bool:
        """Whether a limit may be needed."""

    def set_limit(self, limit: float) -> None:
        """Change the limit."""

    def measure(self, calls: int) -> None:
        """Have the next calls measured."""


def read_clocks() -> tuple[float, float, float]:
    """Return seconds: monotonic time, CPU time of the process, CPU time of this thread."""
    return time.monotonic(), time.process_time(), time.thread_time()


class Threads(Protocol):
    """A pool, as the clocks see it."""

    def cpu_seconds(self) -> float:
        """Return the processor time of its threads, added up."""


def own_clocks(pools: Iterable[Threads]) -> Callable[[], tuple[float, float, float]]:
    """Return what reads the clocks of one server among others: instead of the process, its own threads count."""
    threads = tuple(pools)
    if not hasattr(time, "pthread_getcpuclockid"):
        return read_clocks

    def read_own_clocks() -> tuple[float, float, float]:
        loop = time.thread_time()
        return time.monotonic(), loop + sum(pool.cpu_seconds() for pool in threads), loop

    return read_own_clocks


def reason_against() -> str:
    """Return why a pool cannot be governed here, or "" if it can."""
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return "this interpreter runs threads in parallel"
    try:
        read_clocks()
    except (AttributeError, OSError) as error:
        return f"this system does not tell the CPU time of a thread ({error})"
    return ""


class PoolSampler:
    """What keeps the limit of one pool.

    Args:
        pool: what is governed; it calls `watch`.
        outbox: tells the lag of the loop.
        clocks: as `read_clocks`.

    Attributes:
        reason: why the limit was changed last; "" at first.
        cuts, raises: how often it was.
        sample: the last one, or None.
    """

    def __init__(
        self,
        pool: Governed,
        outbox: Outbox,
        log: Log,
        clocks: Callable[[], tuple[float, float, float]] = read_clocks,
    ) -> None:
        self.reason = ""
        self.cuts = 0
        self.raises = 0
        self.sample: Sample | None = None
        self._pool = pool
        self._outbox = outbox
        self._log = log
        self._clocks = clocks
        self._then = (0.0, 0.0, 0.0)
        self._lag_then = (0.0, 0)
        self._sums = _Sums()
        self._is_watching = False
        self._quiet = 0
        self._first_held: object = None
        self._held_since = 0.0
        self._logged_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        pool.on_busy = self.watch

    def __repr__(self) -> str:
        pool, sample = self._pool, self.sample
        parts = [f"limit {pool.limit:.2f} of {pool.threads}"]
        if self.reason:
            parts.append(f"{self.reason} ({self.cuts} cuts, {self.raises} raises)")
        if sample is not None:
            parts.append(
                f"lag {sample.lag_seconds * 1000:.1f} ms, "
                f"threads {sample.thread_share:.0%}, loop {sample.loop_share:.0%}, {sample.held} held"
            )
        return f"<PoolSampler {'; '.join(parts)}>"

    @property
    def governed(self) -> Governed:
        """What is governed."""
        return self._pool

    def watch(self) -> None:
        """Take samples until the pool is quiet."""
        if self._is_watching:
            return
        self._is_watching = True
        self._quiet = 0
        self._outbox.timers += 1
        self._take_lag()
        self._sums = _Sums()
        self._then = self._clocks()
        self._timer = self._outbox.loop.call_later(_PERIOD_SECONDS, self._tick)

    def stop(self) -> None:
        """Look no more: the pool has ended, and the loop may go on."""
        self._pool.on_busy = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        pool = self._pool
        sample = self.sample = self._take_sample()
        limit, reason = decide(sample, sys.getswitchinterval())
        if reason:
            self._change(limit, reason)
        else:
            pool.set_limit(limit)  # looks again at what is held: a job may wait in a channel by now
        pool.measure(_MEASURED_CALLS)
        self._quiet = 0 if pool.is_busy else self._quiet + 1
        if self._quiet < _QUIET_SAMPLES:
            self._timer = self._outbox.loop.call_later(_PERIOD_SECONDS, self._tick)
            return
        self._timer = None
        self._is_watching = False
        self._outbox.timers -= 1
        pool.set_limit(max(limit, min(_LIMIT_AFTER_QUIET, pool.threads)))
        pool.measure(0)

    def _take_sample(self) -> Sample:
        pool, sums = self._pool, self._sums
        now, process, thread = self._clocks()
        then, process_then, thread_then = self._then
        self._then = now, process, thread
        loop_cpu = thread - thread_then
        sums.add(now - then, max(0.0, process - process_then - loop_cpu), loop_cpu, *self._take_lag())
        first_held = pool.first_held
        if first_held is not self._first_held:
            self._first_held, self._held_since = first_held, now
        wall = sums.wall or 1.0
        return Sample(
            seconds=sums.wall,
            limit=pool.limit,
            most=pool.threads,
            running=pool.weight,
            held=pool.held,
            held_seconds=now - self._held_since,
            lag_seconds=sums.lag / (sums.wake_ups or 1.0),
            wake_ups=sums.wake_ups,
            late_seconds=max(0.0, sums.late / sums.samples - _TIMER_SECONDS),
            thread_share=sums.threads_cpu / wall,
            loop_share=sums.loop_cpu / wall,
        )

    def _take_lag(self) -> tuple[float, int]:
        """Return the lag of the loop since the last call, added up over its wake-ups, and their number."""
        (seconds, count), outbox = self._lag_then, self._outbox
        self._lag_then = outbox.lag_seconds, outbox.timed_wake_ups
        return outbox.lag_seconds - seconds, outbox.timed_wake_ups - count

    def _change(self, limit: float, reason: str) -> None:
        if limit < self._pool.limit:
            self.cuts += 1
        else:
            self.raises += 1
        self.reason = reason
        self._pool.set_limit(limit)
        self._sums = _Sums()
        self._held_since = now = self._then[0]
        if now - self._logged_at >= _LOG_SECONDS:
            self._logged_at = now
            self._log.debug("Governor: %r", self)


class _Sums:
    """Sums that fade."""

    __slots__ = ("lag", "late", "loop_cpu", "samples", "silent", "threads_cpu", "wake_ups", "wall")

    def __init__(self) -> None:
        self.silent = 0  # samples without a wake-up, since the last one
        self.wall = self.threads_cpu = self.loop_cpu = self.lag = self.wake_ups = self.late = self.samples = 0.0

    def add(self, wall: float, threads_cpu: float, loop_cpu: float, lag: float, wake_ups: int) -> None:
        self.wall = _FADING * self.wall + wall
        self.threads_cpu = _FADING * self.threads_cpu + threads_cpu
        self.loop_cpu = _FADING * self.loop_cpu + loop_cpu
        self.silent = 0 if wake_ups else self.silent + 1
        fading = _FADING if self.wake_ups > _FEW_WAKE_UPS or self.silent > _SILENT_SAMPLES else 1.0
        self.lag = fading * self.lag + lag
        self.wake_ups = fading * self.wake_ups + wake_ups
        self.late = _FADING * self.late + max(0.0, wall - _PERIOD_SECONDS)
        self.samples = _FADING * self.samples + 1.0
