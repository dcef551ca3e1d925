"""Threads of leases that do nothing, lent to the jobs that wait for a thread.

Theory of operation
-------------------
A request that keeps a thread between its calls, and waits meanwhile for something that needs a thread, would wait for
ever in a pool whose threads are all kept so; and a pool full of streams would serve nobody else. So *no thread stands
idle while a job waits for one*: a host all of whose calls have ended goes away (`Host.go_away`)

- when it was idle for `IDLE_SECONDS`, and jobs wait while no thread is free: as many hosts as jobs wait, those first
  that were idle for longest;
- at once, when its own request hands a call to the pool and no thread is free: a request never holds one thread and
  waits for another.

*What a request keeps.* If it has sent no more than signals, its lease forgets the thread, and the next call finds any,
as a first one does; before it, what belongs to that thread is looked at (`Lease.on_moved`: database connections that
are too old). Otherwise something of it may be in the thread (connections, cursors), so it keeps the thread itself: the
next call is *pinned* to it (`Slot.pinned`), and goes before all that is queued as soon as the thread's present job has
ended or, where that is a host, is idle as above.

*Why no pinned call waits for ever.* The present job ends by itself, or is a host, which goes away. What it may wait for
is done by other threads, but for one case: it waits for the loop, and this for the pinned call. Such a call is nested,
and moves to another thread, with those that its request has pinned before it (`Host.let_go_of_thread`); so does one
whose thread is stuck. A nested call behind others, for which
its request waits in the queue, takes these with it to an extra thread (`Host.hurry`). Whatever is left fails after
`queue_timeout`.

Looking costs a pass over the threads, so it is done at once, and then at most each `IDLE_SECONDS` while jobs wait. A
pool without hosts, or without waiting jobs, has no timer.
"""

from __future__ import annotations

import asyncio
from time import monotonic

from uvicorn.bridge.lease_host import Host
from uvicorn.bridge.pool import ConsumerPool

__all__ = ["IDLE_SECONDS", "Lending", "is_spare"]

IDLE_SECONDS = 0.05  # arbitrary: the time between two calls of a request that is at work


class Lending:
    """What sends idle hosts of one pool away. All methods run on: the loop."""

    def __init__(self, pool: ConsumerPool, loop: asyncio.AbstractEventLoop) -> None:
        self._pool = pool
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def look(self) -> None:
        """Free threads for what waits, now and for as long as something does."""
        if self._timer is None and self._send_away():
            self._timer = self._loop.call_later(IDLE_SECONDS, self._look_again)

    def count(self) -> int:
        """Return how many threads could be had at once."""
        return len(self._spare(monotonic()))

    def _look_again(self) -> None:
        self._timer = None
        self.look()

    def _send_away(self) -> bool:
        """Return whether anything waits."""
        pool, now = self._pool, monotonic()
        wanted = [slot.job for slot in pool.slots() if slot.pinned]
        for job in wanted:
            if isinstance(job, Host) and is_spare(job, now):
                job.go_away()
        waiting = pool.queued + pool.late
        if waiting and not pool.has_thread:
            for host in sorted(self._spare(now), key=_idle_since)[:waiting]:
                host.go_away()
        return bool(wanted) or (waiting > 0 and bool(pool.hosts))

    def _spare(self, now: float) -> list[Host]:
        """Return what can be sent away. It is looked for in the threads: with many streams, most hosts have none."""
        jobs = [slot.job for slot in self._pool.slots()]
        return [job for job in jobs if isinstance(job, Host) and not job.is_lasting and is_spare(job, now)]


def is_spare(host: Host, now: float) -> bool:
    """Whether a host has a thread that it has not used for a while."""
    return host.is_here and host.is_idle and host.idle_since < now - IDLE_SECONDS


def _idle_since(host: Host) -> float:
    return host.idle_since
