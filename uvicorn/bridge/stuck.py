"""Find the threads that do not come back, name them, and tell when a pool has no other left. Loop thread only.

Theory of operation
-------------------
A thread cannot be stopped in Python. A consumer that hangs or burns for ever takes its thread away for good, and when
all threads of a pool are gone its requests wait for nothing. So this looks at the slots of the pools once a second.

A call is *stuck* when it gave no sign of life for `seconds`. Signs are: it was called, it sent a part of its reply, it
waits in a channel of ours (which has deadlines of its own), or its thread makes another call. A consumer that declares
itself long (`runs_long`) is never stuck. Each stuck call is told once, with the line where it stands, and once more if
it ends after all.

A pool is *lost* when all its threads are stuck and it is wanted: requests wait for it, or since the last look they were
refused, or connections left to a sibling worker. Then `on_lost` is called, once; what follows is the worker's decision.

What is stuck stands in `Slot.stuck`, so that nobody waits for it when the worker stops. A slot that has gone on to
another job is not stuck, whatever stands there: so a thread has nothing to clear.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from uvicorn.bridge.outbox import Log
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.bridge.served import line_with_id
from uvicorn.bridge.slots import TAKING, Job, Slot
from uvicorn.bridge.stacks import describe, line_of, thread_name

__all__ = ["StuckWatch", "name_of_job"]


class _Call:
    """A call that was seen in a slot, known without a reference to it: a watch keeps nothing alive."""

    def __init__(self, key: tuple[object, ...], since: float, progress: tuple[float, int]) -> None:
        self.key = key
        self.since = since  # loop time of its last sign of life
        self.progress = progress
        self.is_told = False


class StuckWatch:
    """What looks after the threads of some pools.

    Args:
        clock: loop time, seconds.
        seconds: without a sign of life, past which a call is stuck; 0 for never.
        on_lost: called once, with the first pool that is lost.
    """

    def __init__(
        self,
        pools: Iterable[ConsumerPool],
        clock: Callable[[], float],
        log: Log,
        seconds: float,
        on_lost: Callable[[ConsumerPool], None],
    ) -> None:
        self.pools: Final = tuple(pools)
        self._clock = clock
        self._log = log
        self._seconds = seconds
        self._on_lost: Callable[[ConsumerPool], None] | None = on_lost
        self._calls: dict[Slot, _Call] = {}
        self._missed = dict.fromkeys(self.pools, 0)  # refused, or left to a sibling

    def tick(self) -> None:
        """Look at every thread, once a second."""
        if self._seconds <= 0:
            return
        now = self._clock()
        for pool in self.pools:
            self._look(pool, now)
            missed, self._missed[pool] = self._missed[pool], pool.rejected + pool.passed_by
            is_wanted = pool.queued > 0 or self._missed[pool] > missed
            if self._on_lost is not None and is_wanted and pool.stuck >= pool.threads:
                on_lost, self._on_lost = self._on_lost, None
                on_lost(pool)

    def stacks(self, pool: ConsumerPool) -> str:
        """Return the stacks of the stuck threads of a pool, each under its name."""
        return "\n".join(
            f"{thread_name(slot.thread_id)}: {name_of_job(slot.stuck)}\n{describe(slot.thread_id)}"
            for slot in pool.slots()
            if slot.stuck is not None
        )

    def _look(self, pool: ConsumerPool, now: float) -> None:
        found = []
        for slot in pool.slots():
            job = slot.job
            call = self._calls.get(slot)
            key = _key_of(job)
            if call is not None and call.key != key:
                slot.stuck = None
                del self._calls[slot]
                if call.is_told:
                    self._log.warning(
                        "Thread %s is free again, after %d seconds", thread_name(slot.thread_id), now - call.since
                    )
                call = None
            if job is None or job is TAKING:
                continue
            progress = _progress_of(job)
            if call is None:
                call = self._calls[slot] = _Call(key, now, progress)
            if job.is_waiting or progress != call.progress:
                call.since, call.progress, call.is_told = now, progress, False
            if now - call.since <= self._seconds or getattr(job, "is_long", False):
                slot.stuck = None
                continue
            slot.stuck = job
            if not call.is_told:
                call.is_told = True
                found.append(_line(slot, job, now - call.since))
        if found:
            self._log.warning(
                "%d of %d threads of %s are stuck, %d of them since the last look:\n%s",
                pool.stuck,
                pool.threads,
                pool.name,
                len(found),
                "\n".join(found),
            )


def name_of_job(job: Any) -> str:
    """Return what a job does, for logs."""
    exchange = getattr(job, "exchange", None)
    if exchange is None:
        return str(getattr(job, "name", "a function that was handed to the pool"))
    return f"{exchange.consumer_name}: {line_with_id(exchange)}"


def _key_of(job: Job | None) -> tuple[object, ...]:
    """Tell one call from the next; a job that makes several has a `started_at` of each."""
    return (id(job), job.submitted_at, getattr(job, "started_at", 0.0)) if job is not None else ()


def _progress_of(job: Job) -> tuple[float, int]:
    """Return what changes when a call sends something: to a request, or to a socket."""
    exchange = getattr(job, "exchange", None)
    return getattr(exchange, "active_at", 0.0), getattr(exchange, "sent_messages", 0)


def _line(slot: Slot, job: Job, seconds: float) -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() - seconds))
    return (
        f"  {thread_name(slot.thread_id)} since {since} ({seconds:.0f} seconds) in {name_of_job(job)}\n"
        f"    at {line_of(slot.thread_id)}"
    )
