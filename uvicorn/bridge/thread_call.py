"""One call of a plain function that a framework hands to a thread; see `framework_calls.py`."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from time import monotonic, thread_time
from typing import Any, Protocol

from uvicorn.bridge.costs import cost_of
from uvicorn.bridge.governor import Load
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.bridge.work import Nest, Work, nested_below
from uvicorn.errors import ChannelFull, ServerStopping

__all__ = ["ThreadCall", "from_elsewhere", "in_thread", "settable"]


class Threads(Protocol):
    """What a call needs of the threads of its application."""

    @property
    def pool(self) -> ConsumerPool:
        """The application's."""

    @property
    def outbox(self) -> Outbox:
        """The way back to the loop."""

    @property
    def behind(self) -> deque[Any]:
        """Calls of background tasks that are not in the pool yet."""

    def on_late_ended(self) -> None:
        """A call of a background task has ended."""

    def on_nested_ended(self, call: Any) -> None:
        """A call for which a thread may wait has ended, or was taken back."""


class ThreadCall:
    """One call of a plain function for a framework: a job of a pool. Made on: the loop.

    Attributes:
        future: settled on the loop, when the thread has ended or the call was taken back; the result is in `result` and
            `error`, so that a future that was cancelled loses nothing.
        is_settled: that has happened.
        is_counted: it holds a token of its application's default limiter.
        nest: whose thread may wait for it, if that matters for where it runs.
        is_late: it is one of a background task, that ranks behind requests.
    """

    __slots__ = (
        "_args", "_context", "_function", "cost", "error", "future", "is_counted", "is_late", "is_settled",
        "is_waiting", "must_run", "nest", "pool", "ran_seconds", "result", "started_at", "submitted_at", "threads",
        "work",
    )  # fmt: skip

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        context: contextvars.Context,
        future: asyncio.Future[Any],
        threads: Threads,
        work: Work | None,
    ) -> None:
        self.cost = cost_of(function, args)
        self.submitted_at = monotonic()
        self.started_at = 0.0  # 0 while queued
        self.ran_seconds = 0.0
        self.is_waiting = False
        self.must_run = False
        self.is_settled = False
        self.is_counted = False
        self.is_late = False
        self.nest: Nest | None = None
        self.future = future
        self.work = work
        self.threads = threads
        self.pool = threads.pool
        self.result: Any = None
        self.error: BaseException | None = None
        self._function: Callable[..., Any] = function
        self._args = args
        self._context = context

    @property
    def load(self) -> Load:
        """What such a call costs."""
        return self.cost.load

    @property
    def name(self) -> str:
        """How logs call it."""
        return self.cost.name

    @property
    def is_long(self) -> bool:
        """Whether the function is said to take any time."""
        return self.cost.is_long

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or was taken back before it began. Runs on: the loop."""
        return self.is_settled or (self.future.cancelled() and not self.started_at)

    def run(self) -> bool:
        """Make the call. Runs on: a worker thread."""
        self.started_at = began = monotonic()
        load = self.cost.load
        cpu_began = 0.0 if load.is_known else thread_time()
        try:
            self.result = self.call(self._context, self._function, self._args)
        except BaseException as error:
            self.error = error
        self.ran_seconds = monotonic() - began
        if cpu_began:
            load.learn(thread_time() - cpu_began, self.ran_seconds, False)
        self.pool.about_to_look()  # one call of a request is often followed by another
        self.threads.outbox.put(_settle, self)
        return True

    def call(self, context: contextvars.Context, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Call the function, within what its framework puts around it. Runs on: a worker thread."""
        return context.run(in_thread, function, args)

    def expire(self) -> None:
        """End with ChannelFull: no thread became free in time. Runs on: the loop."""
        if self.work is not None:
            self.work.is_refused = True
        self.drop(ChannelFull("no thread became free in time"))

    def take_back(self) -> bool:
        """Have it never begin; return False if it has begun. Runs on: the loop."""
        nest = self.nest
        if nest is not None and nest.waiting and self in nest.waiting:
            nest.waiting.remove(self)
            self.nest = None
            return True
        if self.is_late and self in self.threads.behind:
            self.threads.behind.remove(self)
            return True
        if not self.pool.cancel(self):
            return False
        if nest is not None:
            self.threads.on_nested_ended(self)
        return True

    def give_up(self, reason: str) -> None:
        """End with ServerStopping a call that has no thread, or whose thread is stuck: the worker leaves.

        Runs on: the loop.
        """
        if not self.is_settled:
            if self.work is not None:
                self.work.give_up()
            self.drop(ServerStopping(reason))

    def outcome(self) -> Any:
        """Return the result of a call that was settled when its future was cancelled already. Raises: its error."""
        error, self.error = self.error, None
        if error is not None:
            raise settable(error)
        return self.result

    def drop(self, error: BaseException) -> None:
        """End a call that was taken back. Runs on: the loop."""
        self.error = error
        _settle(self)


def _settle(call: ThreadCall) -> None:
    if call.is_settled:
        return  # it was given up
    call.is_settled = True
    if call.is_late:
        call.threads.on_late_ended()
    if call.nest is not None:
        call.threads.on_nested_ended(call)
    work = call.work
    if work is not None and call.started_at:
        work.wait_seconds += call.started_at - call.submitted_at
        work.run_seconds += call.ran_seconds
    if call.started_at and call.ran_seconds:
        call.cost.tally.add(call.started_at - call.submitted_at, call.ran_seconds)
    future = call.future
    if future.cancelled():
        return  # `outcome` may be asked for
    error, call.error = call.error, None  # or its traceback and the call would hold each other
    result, call.result = call.result, None
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(settable(error))


def in_thread(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Call a function. The tasks that it begins on the loop know that a thread may wait for them.

    Runs on: a worker thread.
    """
    token = nested_below.set(Nest())
    try:
        return function(*args)
    finally:
        nested_below.reset(token)


def settable(error: BaseException) -> BaseException:
    """Return what a future of asyncio takes: a StopIteration would end the coroutine that awaits it, silently."""
    if not isinstance(error, StopIteration):
        return error
    raised = RuntimeError("coroutine raised StopIteration")
    raised.__cause__ = error
    return raised


def from_elsewhere(outbox: Outbox, submit: Callable[[], Any]) -> Future[Any]:
    """Submit a call on the loop, for another thread.

    Args:
        submit: returns an asyncio.Future, on the loop.
    """
    future: Future[Any] = Future()
    context = contextvars.copy_context()

    def begin(_: object) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            waiting: asyncio.Future[Any] = context.run(submit)
        except BaseException as error:
            future.set_exception(error)
        else:
            waiting.add_done_callback(partial(_pass_on, future))

    outbox.put(begin)
    return future


def _pass_on(future: Future[Any], waiting: asyncio.Future[Any]) -> None:
    if waiting.cancelled():
        future.set_exception(asyncio.CancelledError())
    elif (error := waiting.exception()) is not None:
        future.set_exception(error)
    else:
        future.set_result(waiting.result())
