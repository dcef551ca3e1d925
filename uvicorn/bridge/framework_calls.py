"""Calls that frameworks hand to threads: anyio's `to_thread`, asyncio's default executor, `asyncio.to_thread`.

Theory of operation
-------------------
Each is a job of a pool (`ThreadCall`), made and settled on the loop; the thread puts the result into the outbox, as
consumers do their replies. What is specific to a framework is in `applications/`: what surrounds the call in its
thread, and how a cancelled wait goes on.

*Where a call runs* is decided when it is submitted (`FrameworkThreads.submit`), by what it is for:

    of a request                     the pool of the application; past its queue ChannelFull, and the request gets 503
    of a background task             the pool for these, or the application's, behind its requests
    of start-up, a lifespan, a loop
      of the application             a pool aside: never refused, and no thread of requests is held by it
    bounded by a limiter of its own,
      or made for a thread that waits
      for the loop just now          the application's if a thread is free, else an extra one

The last line is what keeps a full pool from waiting for itself: a call that a waiting thread depends on, and the exits
of dependencies, which frameworks give a limiter of their own for that reason, never queue behind what waits for them.

*A client that has left.* Calls of its request that are still queued are taken back (`drop_left`), and raise
ChannelClosed in the application, but for exits and background tasks. A thread that has begun goes on.

*Whoever waits is told.* A call ends in exactly one of these: its thread has put it into the outbox; it was taken back
from the queue, by the loop; it was never queued. All three are decided on the loop or by the one `popleft` that took
it.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from threading import Lock
from time import monotonic, thread_time
from typing import Any, Final

from uvicorn.bridge.costs import cost_of
from uvicorn.bridge.governor import Load
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.bridge.work import Work, nested_below
from uvicorn.errors import ChannelClosed, ChannelFull, ServerStopping

__all__ = [
    "FrameworkPools",
    "FrameworkThreads",
    "ThreadCall",
    "holders",
    "installing",
    "is_nested",
    "nested_tests",
    "settable",
]

_MOST_LATE: Final = 16  # arbitrary: times the queue's size that calls of background tasks may wait

#: ask frameworks that know it themselves; set by `applications/`
nested_tests: Final[list[Callable[[], bool]]] = []
#: held while a server has frameworks use its threads, or gives them back: others may do so at the same time
installing: Final = Lock()


def is_nested() -> bool:
    """Whether a thread waits for the calling coroutine. Runs on: the loop."""
    return nested_below.get() or any(test() for test in nested_tests)


@dataclass(frozen=True)
class FrameworkPools:
    """Pools that all applications of a worker share for what is no plain call of a request.

    Attributes:
        aside: for calls outside of requests.
        extra: for calls that must not wait behind others.
        background: for background tasks; None if they run in the pool of their application, behind its requests.
    """

    aside: ConsumerPool
    extra: ConsumerPool
    background: ConsumerPool | None = None

    def __iter__(self) -> Iterator[ConsumerPool]:
        yield self.aside
        yield self.extra
        if self.background is not None:
            yield self.background


class FrameworkThreads:
    """The threads that one application's frameworks may use. All methods run on: the loop.

    Args:
        pool: the application's.
        refused: called for each call that is refused, for the log.

    Attributes:
        gate: bounds the share of this application, if it wants less than the pool; set by the framework's side.
        in_flight: how many calls were let in that a gate counts.
        calls: how many were made, by kind: "request", "background", "outside", "extra".
    """

    def __init__(self, pool: ConsumerPool, shared: FrameworkPools, outbox: Outbox, refused: Callable[[], None]) -> None:
        self.pool: Final = pool
        self.outbox: Final = outbox
        self.gate: Any = None
        self.in_flight = 0
        self.calls: Counter[str] = Counter()
        self._shared = shared
        self._refused = refused

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(self.calls.items()))
        return f"<FrameworkThreads {counts or 'no calls'}; {self.pool!r}>"

    def submit(self, call: ThreadCall, must_run: bool = False) -> None:
        """Queue a call where it belongs.

        Args:
            must_run: it must not wait behind others, nor be dropped.

        Raises: ChannelFull if it is refused.
        """
        work = call.work
        call.must_run = must_run
        if work is not None:
            work.hops += 1
        if must_run:
            self._submit_extra(call)
        elif work is None or work.is_outside:
            self._count(call, "outside", self._shared.aside).submit_beyond(call)
        elif work.is_answered:
            call.must_run = True
            self._submit_background(call)
        elif not self.pool.has_free_thread and is_nested():
            self._submit_extra(call)
        elif not self._count(call, "request", self.pool).submit(call):
            self.refuse(work)

    def refuse(self, work: Work | None) -> None:
        """Note that no thread became free. Raises: ChannelFull, always."""
        if work is None or not work.is_refused:
            self._refused()
        if work is not None and work.channel is not None:  # or it is that of all consumers
            work.is_refused = True
        raise ChannelFull("the pool and its queue are full")

    def running(self) -> Iterator[ThreadCall]:
        """Yield each call of this application that runs. Runs on: any thread."""
        for pool in (self.pool, *self._shared):
            for _, job in pool.running():
                if isinstance(job, ThreadCall) and job.threads is self:
                    yield job

    def expire(self, before: float) -> None:
        """Refuse calls that have waited for their turn since then (time.monotonic())."""
        if self.gate is not None:
            self.gate.expire(before)

    def drop_left(self) -> None:
        """Take back the queued calls of requests whose client has left."""
        for call in [job for job in self.pool.waiting() if isinstance(job, ThreadCall)]:
            if not call.must_run and call.work is not None and call.work.has_left and self.pool.cancel(call):
                call.drop(ChannelClosed("the client has left"))

    def _submit_extra(self, call: ThreadCall) -> None:
        pool = self.pool if self.pool.has_free_thread else self._shared.extra
        self._count(call, "extra", pool).submit_beyond(call)

    def _submit_background(self, call: ThreadCall) -> None:
        pool = self._shared.background
        if pool is not None:
            self._count(call, "background", pool).submit_beyond(call)
        elif self.pool.late >= _MOST_LATE * max(self.pool.queue_size, self.pool.threads):
            raise ChannelFull("too many calls of background tasks wait")
        else:
            self._count(call, "background", self.pool).submit_late(call)

    def _count(self, call: ThreadCall, kind: str, pool: ConsumerPool) -> ConsumerPool:
        self.calls[kind] += 1
        call.pool = pool
        return pool


class ThreadCall:
    """One call of a plain function for a framework: a job of a pool. Made on: the loop.

    Attributes:
        future: settled on the loop, when the thread has ended or the call was taken back; the result is in `result` and
            `error`, so that a future that was cancelled loses nothing.
        is_settled: that has happened.
        is_counted: it holds a token of its application's default limiter.
    """

    __slots__ = (
        "_args", "_context", "_function", "cost", "error", "future", "is_counted", "is_settled", "is_waiting",
        "must_run", "pool", "ran_seconds", "result", "started_at", "submitted_at", "threads", "work",
    )  # fmt: skip

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        context: contextvars.Context,
        future: asyncio.Future[Any],
        threads: FrameworkThreads,
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
        return context.run(function, *args)

    def expire(self) -> None:
        """End with ChannelFull: no thread became free in time. Runs on: the loop."""
        if self.work is not None:
            self.work.is_refused = True
        self.drop(ChannelFull("no thread became free in time"))

    def give_up(self) -> None:
        """End with ServerStopping a call whose thread is stuck: the worker leaves. Runs on: the loop."""
        if not self.is_settled:
            self.drop(ServerStopping("its thread is stuck, and the worker is replaced"))

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


def settable(error: BaseException) -> BaseException:
    """Return what a future of asyncio takes: a StopIteration would end the coroutine that awaits it, silently."""
    if not isinstance(error, StopIteration):
        return error
    raised = RuntimeError("coroutine raised StopIteration")
    raised.__cause__ = error
    return raised


def holders(pools: Iterable[ConsumerPool]) -> str:
    """Say who holds the threads: "app.slow (38), app.report (2)"; "" if nobody does. Runs on: any thread."""
    names = Counter(getattr(job, "name", type(job).__name__) for pool in pools for _, job in pool.running())
    return ", ".join(f"{name} ({count})" for name, count in names.most_common(5))
