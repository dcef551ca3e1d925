"""From the loop to a thread, in application code: `run_in_pool`.

It makes a job (`PoolCall`) like that of a consumer, and awaits a future. The thread puts the result into the outbox;
the loop settles the future there.

*A thread that waits for the loop serves it*: a coroutine for which a thread waits (`visits.py`) has its calls made by
that very thread. So a pool of one thread cannot deadlock with itself, and what belongs to a thread (a database
connection) is the same before, within and after.

*The wrong side* is an error at once: in a thread this would return a coroutine that nobody awaits.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from functools import partial
from threading import get_ident
from time import monotonic
from typing import Any, Final, Protocol, TypeVar

from uvicorn.bridge.consumer import name_of, runs_long_of
from uvicorn.bridge.crossing import Crossing, crossing_of, restore
from uvicorn.bridge.governor import Load
from uvicorn.bridge.outbox import Outbox
from uvicorn.errors import ChannelFull, ServerStopping, WrongSide

__all__ = ["PoolCall", "current_visit", "run_in_pool"]

_T = TypeVar("_T")


class Waiting(Protocol):
    """A thread that waits for the loop, and makes calls meanwhile. Loop only."""

    is_open: bool  # it takes calls

    def take(self, call: PoolCall) -> None:
        """Have a call made."""


#: the thread that waits for this code, or None
current_visit: Final[contextvars.ContextVar[Waiting | None]] = contextvars.ContextVar("uvicorn_visit", default=None)


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
    crossing = crossing_of("run_in_pool")
    if get_ident() != crossing.outbox.loop_thread:
        raise WrongSide("run_in_pool is for asynchronous code: this is a thread already, call the function")
    if pool not in crossing.pools:
        names = ", ".join(repr(name) for name in crossing.pools if name) or "none"
        raise ValueError(f"there is no pool {pool!r}; named pools are: {names}")
    return _in_pool(crossing, partial(function, *args, **kwargs), pool)


async def _in_pool(crossing: Crossing, function: Callable[[], _T], name: str | None) -> _T:
    call = PoolCall(function, crossing.outbox)
    visit = current_visit.get() if name is None else None
    if visit is not None and visit.is_open:
        visit.take(call)
    elif not crossing.pools[name].submit(call):
        raise ChannelFull("the pool and its queue are full")
    try:
        await call.settled
    except asyncio.CancelledError:
        crossing.pools[name].cancel(call)
        raise
    restore(call.context)
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

    def give_up(self, reason: str) -> None:
        """Wait no longer for a thread: the worker leaves. Runs on: the loop."""
        self.error = ServerStopping(reason)
        self._settle()

    def _settle(self, _: object = None) -> None:
        if not self.settled.done():
            self.settled.set_result(None)
