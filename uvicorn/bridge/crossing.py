"""From one side to the other in application code: `run_in_pool` and `run_on_loop`.

Theory of operation
-------------------
*To a thread.* `run_in_pool` makes a job (`PoolCall`) like that of a consumer, and awaits a future. The thread puts
the result into the outbox; the loop settles the future there.

*To the loop.* `run_on_loop` makes a *visit*: the loop runs the coroutine as a task, and the thread waits in the
visit's queue. What comes out of it is either the end, or a call: a coroutine on a visit that calls `run_in_pool`
is served by the very thread that waits for it. So a pool of one thread cannot deadlock with itself, and what belongs to
a thread (a database connection) is the same before, within and after.

*No wait is for ever.* The loop alone puts into a visit's queue: calls while the task runs, and the end once, when the
task is done or the worker stops. A visit that comes after the stop is ended at once.

*Context variables* go along and come back: the callee runs in a copy of the caller's context, and what it has set there
is set in the caller's context afterwards.

*Which worker.* A process may have several servers, each with a loop and a bridge of its own. A coroutine belongs to the
one whose loop runs it, a thread to the one whose pool it is of, or else to the one for which it works (`work.py`).

*The wrong side* is an error at once: `run_in_pool` in a thread would return a coroutine that nobody awaits, and
`run_on_loop` on the loop would block it for ever.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import queue
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from threading import Lock, get_ident
from time import monotonic
from typing import Any, Final, TypeVar

from uvicorn.bridge.consumer import name_of, runs_long_of
from uvicorn.bridge.governor import Load
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pool import ConsumerPool, Job
from uvicorn.bridge.waits import blocking, marker, on_loop
from uvicorn.bridge.work import Nest, current_work, nested_below
from uvicorn.errors import ChannelFull, ServerStopping, WrongSide

__all__ = ["Crossing", "PoolCall", "install", "run_in_pool", "run_on", "run_on_loop", "uninstall"]

_T = TypeVar("_T")
_MISSING: Final = object()


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
        self.visits: Final[set[_Visit]] = set()
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
_visit: contextvars.ContextVar[_Visit | None] = contextvars.ContextVar("uvicorn_visit", default=None)


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


def run_in_pool(
    function: Callable[..., _T], /, *args: Any, pool: str | None = None, **kwargs: Any
) -> Coroutine[Any, Any, _T]:
    """Call a plain function in a thread of the pool: `result = await run_in_pool(function, ...)`.

    Args:
        pool: the name of a pool that a route or a mount has made; None for the worker's first one, or for the thread
            that waits in `run_on_loop` for the calling coroutine, if one does.

    Returns: a coroutine; await it.
    Raises: WrongSide at once in a thread; when awaited, ChannelFull if the pool and its queue are full, or no thread
        became free in time; and what the function raises, with its traceback.
    Runs on: the loop. Cancellation: a call that waits for a thread is taken back; one that runs goes on, and its result
        is dropped.
    """
    crossing = _crossing_of("run_in_pool")
    if get_ident() != crossing.outbox.loop_thread:
        raise WrongSide("run_in_pool is for asynchronous code: this is a thread already, call the function")
    if pool not in crossing.pools:
        names = ", ".join(repr(name) for name in crossing.pools if name) or "none"
        raise ValueError(f"there is no pool {pool!r}; named pools are: {names}")
    return _in_pool(crossing, partial(function, *args, **kwargs), pool)


def run_on_loop(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine on the worker's loop, and wait for it: `result = run_on_loop(coroutine)`.

    Raises: WrongSide at once on the loop; TypeError for what is no coroutine; ServerStopping if the worker cannot wait
        any longer; and what the coroutine raises, with its traceback.
    Runs on: any thread but the loop's. Blocks: until the coroutine has ended, or the worker stops.
    """
    if not inspect.iscoroutine(coroutine):
        raise TypeError(f"run_on_loop takes a coroutine, what calling an 'async def' gives, not {coroutine!r}")
    try:
        crossing = _crossing_of("run_on_loop")
        if get_ident() == crossing.outbox.loop_thread:
            raise on_loop("bridge.run_on_loop", coroutine)
    except BaseException:
        coroutine.close()
        raise
    result: _T = run_on(crossing, coroutine)
    return result


def run_on(crossing: Crossing, coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine on the loop of a worker that is known, and wait for it; as `run_on_loop` does."""
    visit = _Visit(crossing, coroutine)
    with blocking("bridge.run_on_loop", coroutine, crossing.outbox.loop_thread):
        crossing.outbox.put(visit.begin)
        visit.wait()
    _restore(visit.context)
    error, visit.error = visit.error, None
    if error is not None:
        try:
            raise error
        finally:
            del error, visit  # or the traceback and this frame would hold each other
    result: _T = visit.result
    return result


async def _in_pool(crossing: Crossing, function: Callable[[], _T], name: str | None) -> _T:
    call = PoolCall(function, crossing.outbox)
    visit = _visit.get() if name is None else None
    if visit is not None and visit.is_open:
        visit.calls.put(call)
    elif not crossing.pools[name].submit(call):
        raise ChannelFull("the pool and its queue are full")
    try:
        await call.settled
    except asyncio.CancelledError:
        crossing.pools[name].cancel(call)
        raise
    _restore(call.context)
    error, call.error = call.error, None
    if error is not None:
        try:
            raise error
        finally:
            del error, call
    result: _T = call.result
    return result


class PoolCall:
    """One call of a plain function for asynchronous code: a job of a pool. Made on: the loop."""

    load: Final = Load()  # of all of them together: a call may be anything

    def __init__(self, function: Callable[[], Any], outbox: Outbox) -> None:
        self.submitted_at = monotonic()
        self.started_at = 0.0  # 0 while queued
        self.is_waiting = False
        self.settled: asyncio.Future[None] = outbox.loop.create_future()
        self.context = contextvars.copy_context()
        self.result: Any = None
        self.error: BaseException | None = None
        self._function = function
        self._outbox = outbox

    @property
    def name(self) -> str:
        """How logs call it."""
        return f"run_in_pool({name_of(self._function)})"

    @property
    def is_long(self) -> bool:
        """Whether the function is said to take any time (`runs_long`)."""
        return runs_long_of(self._function)

    def run(self) -> None:
        """Make the call. Runs on: a worker thread."""
        self.started_at = monotonic()
        try:
            self.result = self.context.run(self._function)
        except BaseException as error:
            self.error = error
        self._outbox.put(self._settle)

    def expire(self) -> None:
        """End with ChannelFull: no thread became free in time. Runs on: the loop."""
        self.error = ChannelFull("no thread became free in time")
        self._settle()

    def give_up(self) -> None:
        """Wait no longer for a thread that is stuck: the worker is replaced. Runs on: the loop."""
        self.error = ServerStopping("the thread is stuck, and the worker is replaced")
        self._settle()

    def _settle(self, _: object = None) -> None:
        if not self.settled.done():
            self.settled.set_result(None)


class _Visit:
    """One coroutine that a thread waits for."""

    def __init__(self, crossing: Crossing, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.calls: queue.SimpleQueue[PoolCall | None] = queue.SimpleQueue()
        self.context = contextvars.copy_context()
        self.result: Any = None
        self.error: BaseException | None = None
        self.is_open = False  # its thread takes calls; loop only
        self._crossing = crossing
        self._coroutine = coroutine
        self._outer = _visit.get()
        self._was_nested = nested_below.get()
        self._task: asyncio.Task[None] | None = None

    def wait(self) -> None:
        """Make the calls that come, until the end. Runs on: the thread."""
        while (call := self.calls.get()) is not None:
            call.run()

    # ---- on the loop ----

    def begin(self, _: object = None) -> None:
        """Start the task."""
        if self._crossing.is_stopping:
            self._coroutine.close()
            self.error = ServerStopping("the worker is stopping")
            self.calls.put(None)
            return
        self.is_open = True
        self._crossing.visits.add(self)
        self.context.run(_visit.set, self)
        self.context.run(nested_below.set, Nest())
        self._task = self.context.run(self._crossing.outbox.loop.create_task, self._run())

    def stop(self) -> None:
        """Cancel the task, and let the thread go at once."""
        if self.is_open:
            self._end(ServerStopping("the worker is stopping"))
            if self._task is not None:
                self._task.cancel()
                self._task.add_done_callback(self._close)  # it may not have begun, and has not awaited it then

    def _close(self, _: object) -> None:
        self._coroutine.close()

    async def _run(self) -> None:
        try:
            self.result = await self._coroutine
        except BaseException as error:
            self._leave_context()
            self._end(error)
        else:
            self._leave_context()
            self._end(None)

    def _leave_context(self) -> None:
        """Keep what the coroutine has set: the task runs in a copy of our context."""
        _visit.set(self._outer)
        nested_below.set(self._was_nested)
        self.context = contextvars.copy_context()

    def _end(self, error: BaseException | None) -> None:
        if self.is_open:
            self.is_open = False
            self.error = error
            self._crossing.visits.discard(self)
            self.calls.put(None)


def _crossing_of(name: str) -> Crossing:
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


def _restore(context: contextvars.Context) -> None:
    """Set in the current context what was set in another one."""
    for variable in context:
        value = context[variable]
        if variable.get(_MISSING) is not value:
            variable.set(value)
