"""Tell of a pool that ran dry: who holds its threads, for how long, and at which line. Loop thread only.

Theory of operation
-------------------
Once a second each pool is looked at. It is *dry* when its first job has waited for `seconds`, or when it has refused
one since the last look. An episode begins with the first look that finds it so, which is told with the holders of all
threads; it ends with the first look at which nothing has waited that long and nothing was refused, which is told, too.

A pool that has free threads and is held back by the governor looks the same to those who wait. It is told as that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

from uvicorn.bridge.outbox import Log
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.bridge.slots import TAKING
from uvicorn.bridge.stacks import line_of, thread_name
from uvicorn.bridge.stuck import name_of_job

__all__ = ["DryWatch", "held_threads"]

_MOST: Final = 20  # threads that are named; arbitrary


class _State:
    """What is known of one pool."""

    def __init__(self, rejected: int) -> None:
        self.rejected = rejected
        self.since: float | None = None  # monotonic time at which the episode began; None if there is none
        self.rejected_before = 0


class DryWatch:
    """What looks after the pools.

    Args:
        clock: monotonic time, seconds, as in `submitted_at`.
        seconds: how long a job may wait; 0 for never.

    Attributes:
        episodes: how many began.
    """

    def __init__(self, pools: Iterable[ConsumerPool], clock: Callable[[], float], log: Log, seconds: float) -> None:
        self.episodes = 0
        self._clock = clock
        self._log = log
        self._seconds = seconds
        self._states = {pool: _State(pool.rejected) for pool in pools}

    def tick(self) -> None:
        """Look at every pool, once a second."""
        if self._seconds <= 0:
            return
        now = self._clock()
        for pool, state in self._states.items():
            rejected, state.rejected = pool.rejected - state.rejected, pool.rejected
            oldest = pool.oldest
            wait = now - oldest if oldest else 0.0
            is_dry = wait >= self._seconds or rejected > 0
            if is_dry and state.since is None:
                state.since = now - wait
                state.rejected_before = pool.rejected - rejected
                self.episodes += 1
                self._begin(pool, wait, now)
            elif not is_dry and state.since is not None:
                self._end(pool, state, now)

    def is_dry(self, pool: ConsumerPool) -> bool:
        """Whether an episode goes on."""
        state = self._states.get(pool)
        return state is not None and state.since is not None

    def _begin(self, pool: ConsumerPool, wait: float, now: float) -> None:
        queued, busy = pool.queued, pool.busy
        waiting = f"{queued} jobs wait, the first for {wait:.1f} seconds" if queued else "a job was refused"
        if pool.held and busy < pool.threads:
            why = (
                f"the governor lets no more than {pool.limit:.2f} threads compute at once, of {pool.threads}; "
                "what runs computes"
            )
            advice = "More workers, or see governor"
        else:
            why = f"{busy} of {pool.threads} threads are busy"
            advice = "More threads, a pool of their own for slow consumers, or deadlines in what they wait for"
        self._log.warning(
            "%s ran dry: %s, and %s. Threads are held by %s. %s\n%s",
            pool.name,
            waiting,
            why,
            holders(pool) or "nobody just now",
            advice,
            held_threads(pool, now),
        )

    def _end(self, pool: ConsumerPool, state: _State, now: float) -> None:
        since, state.since = state.since, None
        assert since is not None
        rejected = pool.rejected - state.rejected_before
        self._log.warning(
            "%s has threads again, after %.1f seconds; %d jobs were refused meanwhile", pool.name, now - since, rejected
        )


def holders(pool: ConsumerPool) -> str:
    """Say who holds the threads of a pool: "app.slow (38), app.report (2)"; "" if nobody does. Runs on: any thread."""
    names = Counter(str(getattr(job, "name", type(job).__name__)) for _, job in pool.running())
    return ", ".join(f"{name} ({count})" for name, count in names.most_common(5))


def held_threads(pool: ConsumerPool, now: float) -> str:
    """Name what each thread of a pool does, for how long, and at which line. Runs on: any thread."""
    lines = [_line(thread_id, job, now) for slot in pool.slots() if (job := slot.job) not in (None, TAKING)
             for thread_id in (slot.thread_id,)]  # fmt: skip
    more = len(lines) - _MOST
    return "\n".join(lines[:_MOST] + ([f"  and {more} more"] if more > 0 else []))


def _line(thread_id: int, job: Any, now: float) -> str:
    began = getattr(job, "started_at", 0.0)
    duration = f" for {max(0.0, now - began):.1f} seconds" if began else ""
    return f"  {thread_name(thread_id)}{duration} in {name_of_job(job)}\n    at {line_of(thread_id)}"
