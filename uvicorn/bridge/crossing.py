"""What the ways between threads and loop need of a worker: its outbox and pools, and which of several workers it is.

The ways themselves are `pool_call.py` (from the loop to a thread) and `visits.py` (from a thread to the loop).

*Which worker.* A process may have several servers, each with a loop and a bridge of its own. A coroutine belongs to the
one whose loop runs it, a thread to the one whose pool it is of, or else to the one for which it works (`work.py`).

*Context variables* go along and come back: the callee runs in a copy of the caller's context, and what it has set there
is set in the caller's context afterwards (`restore`).
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterable, Mapping
from threading import Lock, get_ident
from typing import Final, Protocol

from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pool import ConsumerPool, Job
from uvicorn.bridge.waits import marker
from uvicorn.bridge.work import current_work
from uvicorn.errors import WrongSide

__all__ = ["Crossing", "crossing_of", "current_job", "install", "restore", "uninstall"]

_MISSING: Final = object()


class Visit(Protocol):
    """A thread that waits for the loop."""

    def stop(self) -> None:
        """Let the thread go at once. Runs on: the loop."""


class Crossing:
    """What the two calls need of a worker. All methods run on: the loop, unless they say otherwise.

    Args:
        pool: the worker's first pool, which has no name.
        named_pools: name -> pool.
        others: further pools, whose threads are the worker's too.
    """

    def __init__(
        self,
        outbox: Outbox,
        pool: ConsumerPool,
        named_pools: Mapping[str, ConsumerPool],
        others: Iterable[ConsumerPool] = (),
    ) -> None:
        self.outbox: Final = outbox
        self.pools: Final[dict[str | None, ConsumerPool]] = {None: pool}
        self.pools.update(named_pools)
        self._others = tuple(others)
        self.visits: Final[set[Visit]] = set()
        self.is_stopping = False

    def stop(self) -> None:
        """Release every thread that waits in `run_on_loop`: it raises ServerStopping there."""
        self.is_stopping = True
        for visit in tuple(self.visits):
            visit.stop()

    def mark_waiting(self, is_waiting: bool) -> None:
        """Mark the job of the calling thread as blocked. Runs on: a worker thread."""
        job = self.current_job()
        if job is not None:
            job.is_waiting = is_waiting

    def current_job(self) -> Job | None:
        """Return the job that the calling thread runs, or None. Runs on: any thread."""
        own = get_ident()
        for pool in (*self.pools.values(), *self._others):
            for slot in pool.slots():
                if slot.thread_id == own:
                    return slot.job
        return None

    def has_thread(self, thread_id: int) -> bool:
        """Whether a thread is of one of the pools. Runs on: any thread."""
        pools = (*self.pools.values(), *self._others)
        return any(slot.thread_id == thread_id for pool in pools for slot in pool.slots())


_crossings: tuple[Crossing, ...] = ()  # of all servers of this process; replaced as a whole
_changing: Final = Lock()


def install(crossing: Crossing | None) -> None:
    """Add the crossing of a server to those of the process; None forgets all of them. Runs on: any thread."""
    global _crossings
    with _changing:
        _crossings = () if crossing is None else (*_crossings, crossing)
        marker[:] = [each.mark_waiting for each in _crossings]


def uninstall(crossing: Crossing) -> None:
    """Forget the crossing of a server that has stopped. Runs on: any thread."""
    global _crossings
    with _changing:
        _crossings = tuple(each for each in _crossings if each is not crossing)
        marker[:] = [each.mark_waiting for each in _crossings]


def current_job() -> Job | None:
    """Return the job that the calling thread runs, for whichever server, or None. Runs on: any thread."""
    return next((job for crossing in _crossings if (job := crossing.current_job()) is not None), None)


def crossing_of(name: str) -> Crossing:
    """Return that of the worker to which the calling code belongs. Runs on: any thread.

    Args:
        name: of the function that asks, for the error.

    Raises: WrongSide if there is none.
    """
    crossings = _crossings
    if not crossings:
        raise WrongSide(f"{name} works in a worker of uvicorn only, and none runs in this process")
    if len(crossings) == 1:
        return crossings[0]
    own, work = get_ident(), current_work.get()
    found = [crossing for crossing in crossings if crossing.outbox.loop_thread == own or crossing.has_thread(own)]
    for crossing in found or crossings:
        if work is not None and work.threads.outbox is crossing.outbox:
            return crossing
    if found:
        return found[0]
    raise WrongSide(
        f"{name} was called in a thread of none of the {len(crossings)} servers of this process: call it in a "
        "consumer, or in a thread that was given its context (contextvars.copy_context)"
    )


def restore(context: contextvars.Context) -> None:
    """Set in the current context what was set in another one."""
    for variable in context:
        value = context[variable]
        if variable.get(_MISSING) is not value:
            variable.set(value)
