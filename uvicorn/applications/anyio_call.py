"""One call of anyio's `to_thread.run_sync` on our loop: a job of a pool. Compiled where it can be.

Theory of operation: see `anyio_threads.py`, which has checked the names of anyio that are used here. Most calls are
made in no scope, or in one that nobody has cancelled, by the default limiter, and are let in at once; these are to cost
little. Runs on: the loop, but for `AnyioCall.call`.
"""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import Callable
from contextvars import Context, copy_context
from importlib import import_module
from typing import Any, Final, Protocol

from anyio._core import _eventloop as core

from uvicorn.applications.anyio_limiter import ThreadLimiter
from uvicorn.applications.anyio_scopes import is_cancelled, is_shielded
from uvicorn.bridge.costs import cost_of
from uvicorn.bridge.framework_calls import FrameworkThreads
from uvicorn.bridge.thread_call import ThreadCall
from uvicorn.bridge.work import Nest, Work, nested_below, work_now

__all__ = ["AnyioCall", "run_sync", "work_on"]

backend: Final[Any] = import_module("anyio._backends._asyncio")
Backend: Final[Any] = backend.AsyncIOBackend
CancelScope: Final[Any] = backend.CancelScope
threadlocals: Final[Any] = core.threadlocals
states: Final[Any] = backend._task_states


class Seam(Protocol):
    """What a call needs of the seam of its loop."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Ours."""

    @property
    def default(self) -> FrameworkThreads:
        """For code that runs for no application."""

    @property
    def token(self) -> Any:
        """By which `anyio.from_thread` finds the loop."""

    @property
    def no_scope(self) -> Any:
        """Of calls that are made in no scope."""


async def run_sync(ours: Seam, func: Any, args: Any, abandon_on_cancel: bool, limiter: Any) -> Any:
    """Call a function in a thread, as `anyio.to_thread.run_sync` does it."""
    loop = ours.loop
    task: Any = asyncio.current_task(loop)
    state = states.get(task)
    scope = state.cancel_scope if state is not None else None
    if getattr(task, "_must_cancel", False):
        await asyncio.sleep(0)  # raises
    elif scope is not None and is_cancelled(scope):
        await Backend.checkpoint_if_cancelled()
    work = work_on(loop)
    threads: FrameworkThreads = ours.default if work is None else work.threads
    if limiter is None or isinstance(limiter, ThreadLimiter):
        gate = threads.gate if limiter is None else limiter
        if gate is not None and not gate.is_open:
            await gate.enter(work, is_shielded(scope) or cost_of(func, args).is_exit)
        limiter = None
        counted: FrameworkThreads = threads if gate is None else gate.threads
        counted.in_flight += 1
    else:
        try:
            limiter.acquire_nowait()
        except backend.WouldBlock:
            await limiter.acquire()
    try:
        call = AnyioCall(func, args, copy_context(), loop.create_future(), threads, work)
        call.is_counted = limiter is None
        call.token = ours.token
        if abandon_on_cancel:
            with CancelScope() as call.scope:
                threads.submit(call, limiter is not None or is_shielded(scope))
                return await _abandoning(call)
        call.scope = scope if scope is not None else ours.no_scope
        is_needed = limiter is not None or call.cost.is_exit or (scope is not None and is_shielded(scope))
        threads.submit(call, is_needed)
        try:
            return await call.future
        except CancelledError as error:
            return await _cancelled(call, error)
    finally:
        if limiter is not None:
            limiter.release()
        else:
            counted.in_flight -= 1
            if counted.gate is not None and counted.gate.has_waiters:
                counted.gate.on_left()


class AnyioCall(ThreadCall):
    """One call of anyio's: its thread has what `anyio.from_thread` reads."""

    __slots__ = ("scope", "token")
    scope: Any
    token: Any

    def call(self, context: Context, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Call the function, within what its framework puts around it. Runs on: a worker thread."""
        if core.sniffio is not None:
            context.run(core.set_current_async_library, None)
        threadlocals.current_token = self.token
        threadlocals.current_cancel_scope = self.scope
        context.run(nested_below.set, Nest())  # the context is this call's own
        try:
            return context.run(function, *args)
        finally:
            del threadlocals.current_cancel_scope
            del threadlocals.current_token
            self.scope = None


def work_on(loop: asyncio.AbstractEventLoop) -> Work | None:
    """Return for whom the calling task works, unless that is on another loop, whose context it was given."""
    work = work_now()
    if work is None:
        return None
    threads: FrameworkThreads = work.threads
    return work if threads.outbox.loop is loop else None


async def _abandoning(call: AnyioCall) -> Any:
    try:
        return await call.future
    except CancelledError:
        if not call.is_settled:
            call.take_back()
        raise


async def _cancelled(call: AnyioCall, error: CancelledError) -> Any:
    """Go on with a wait that was cancelled: take the call back, or wait for its end."""
    is_taken_back = not call.is_settled and not call.must_run and call.take_back()
    if is_taken_back or not backend.is_anyio_cancellation(error):
        raise error
    if not call.is_settled:
        with CancelScope(shield=True):
            # The future was cancelled; what the call ends with goes into another one.
            call.future = asyncio.get_running_loop().create_future()
            return await call.future
    return call.outcome()
