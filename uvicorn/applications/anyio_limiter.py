"""The limiter that `anyio.to_thread.current_default_thread_limiter()` gives: the truth about a pool.

Theory of operation
-------------------
Its tokens are the threads of the application's pool, until the application says another number. While there are as many
tokens as threads, or more, and nobody has borrowed one by hand, nothing waits here: calls wait in the pool's own queue,
where short ones may pass and the governor looks (`is_open`). With fewer, that many calls of this application are let in
at a time, and the others wait here, in their order; the number of those of requests is bounded as the queue is, and
past it, or past `queue_timeout`, a request gets 503; when its client leaves, they are never made. Background tasks,
exits and shielded calls wait for as long as it takes. What a thread waits for passes: that thread has a token, and does
nothing with it meanwhile; so tokens never wait for themselves.

`borrowed_tokens` are those borrowed by hand and the calls that run; `tasks_waiting` are who waits here and the calls
in the pool's queue.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from time import monotonic
from types import TracebackType

import anyio
from anyio import CapacityLimiter, CapacityLimiterStatistics
from anyio.lowlevel import cancel_shielded_checkpoint, checkpoint_if_cancelled

from uvicorn.bridge.framework_calls import FrameworkThreads, ThreadCall, nest_now
from uvicorn.bridge.work import Work
from uvicorn.errors import ChannelClosed, ChannelFull, ServerStopping

__all__ = ["ThreadLimiter"]


class ThreadLimiter(CapacityLimiter):
    """The default limiter of one application. All methods run on: the loop.

    Attributes:
        is_open: calls need not ask: the pool bounds them.
        threads: whose limiter it is.
    """

    def __new__(cls, threads: FrameworkThreads) -> ThreadLimiter:
        """Make it; anyio's own base would look for a backend."""
        return object.__new__(cls)

    def __init__(self, threads: FrameworkThreads) -> None:
        self.is_open = True
        self.threads = threads
        self._total: float = threads.pool.threads
        self._borrowers: set[object] = set()
        self._waiters: OrderedDict[object, _Waiter] = OrderedDict()
        self._bound = 0  # how many of them may be refused

    @property
    def has_waiters(self) -> bool:
        """Whether somebody waits here."""
        return bool(self._waiters)

    # ---- for calls ----

    async def enter(self, work: Work | None, must_run: bool = False) -> None:
        """Wait until a call may be made; `on_left` says that one has ended.

        Args:
            must_run: it is neither refused nor dropped.

        Raises: ChannelFull if too many wait, or for too long; ChannelClosed if its client has left. Cancellation: gives
            the place away.
        """
        if (not self._waiters and self._has_room()) or nest_now() is not None:
            return
        is_bound = work is not None and not (work.is_outside or work.is_answered or must_run)
        if is_bound and work is not None and work.has_left:
            raise ChannelClosed("the client has left")
        if is_bound and self._bound >= self.threads.pool.queue_size:
            self.threads.refuse(work)
        waiter = _Waiter(work if is_bound else None)
        await self._wait(waiter, waiter)

    def on_left(self) -> None:
        """A call has ended: who waits is let in, as far as there is room."""
        while self._waiters and self._has_room():
            key, waiter = next(iter(self._waiters.items()))
            self._take_out(key)
            if not waiter.future.done():
                waiter.future.set_result(None)
                if waiter.is_borrower:
                    self._borrowers.add(key)
                else:
                    waiter.is_in = True
                    self.threads.in_flight += 1
        self._look()

    def expire(self, before: float) -> None:
        """Refuse calls of requests that have waited since then (time.monotonic())."""
        for key, waiter in tuple(self._waiters.items()):
            if waiter.since >= before:
                return
            if waiter.work is not None:
                self._take_out(key)
                waiter.work.is_refused = True
                if not waiter.future.done():
                    waiter.future.set_exception(ChannelFull("no thread became free in time"))

    def drop_left(self, work: Work) -> None:
        """End the calls of a request whose client has left."""
        for key, waiter in tuple(self._waiters.items()):
            if waiter.work is work:
                self._take_out(key)
                if not waiter.future.done():
                    waiter.future.set_exception(ChannelClosed("the client has left"))

    def give_up(self, reason: str) -> None:
        """End with ServerStopping all waits: the worker leaves."""
        for key, waiter in tuple(self._waiters.items()):
            self._take_out(key)
            if not waiter.future.done():
                waiter.future.set_exception(ServerStopping(reason))

    def _has_room(self) -> bool:
        return self.is_open or len(self._borrowers) + self.threads.in_flight < self._total

    def _look(self) -> None:
        self.is_open = not self._waiters and self._total - len(self._borrowers) >= self.threads.pool.threads

    def _take_out(self, key: object) -> bool:
        """Have somebody wait no longer; return whether he did."""
        waiter = self._waiters.pop(key, None)
        if waiter is None:
            return False
        self._bound -= waiter.work is not None
        return True

    async def _wait(self, key: object, waiter: _Waiter) -> None:
        self._waiters[key] = waiter
        self._bound += waiter.work is not None
        self.is_open = False  # or calls would pass by for ever
        try:
            await waiter.future
        except BaseException:
            if not self._take_out(key) and waiter.future.done() and not waiter.future.cancelled():
                if waiter.is_borrower:
                    self._borrowers.discard(key)
                elif waiter.is_in:
                    self.threads.in_flight -= 1
            self.on_left()
            raise
        if waiter.is_in:  # whoever makes the call counts it itself
            self.threads.in_flight -= 1

    # ---- what anyio documents ----

    @property
    def total_tokens(self) -> float:
        """How many calls may run at a time."""
        return self._total

    @total_tokens.setter
    def total_tokens(self, value: float) -> None:
        if not isinstance(value, int) and not math.isinf(value):
            raise TypeError("total_tokens must be an int or math.inf")
        if value < 0:
            raise ValueError("total_tokens must be >= 0")
        self._total = value
        self._look()
        self.on_left()

    @property
    def borrowed_tokens(self) -> int:
        """How many run now, or were borrowed by hand."""
        return len(self._borrowers) + len(self._running())

    @property
    def available_tokens(self) -> float:
        """How many more may run."""
        return self._total - self.borrowed_tokens

    def acquire_nowait(self) -> None:
        """Borrow a token for this task. Raises: WouldBlock; RuntimeError if it has one."""
        self.acquire_on_behalf_of_nowait(asyncio.current_task())

    def acquire_on_behalf_of_nowait(self, borrower: object) -> None:
        """Borrow a token for somebody. Raises: WouldBlock; RuntimeError if he has one."""
        if borrower in self._borrowers:
            raise RuntimeError("this borrower is already holding one of this CapacityLimiter's tokens")
        if self._waiters or self.borrowed_tokens >= self._total:
            raise anyio.WouldBlock
        self._borrowers.add(borrower)
        self._look()

    async def acquire(self) -> None:
        """Borrow a token for this task, waiting for it if needed."""
        await self.acquire_on_behalf_of(asyncio.current_task())

    async def acquire_on_behalf_of(self, borrower: object) -> None:
        """Borrow a token for somebody, waiting for it if needed. Cancellation: gives the place away."""
        await checkpoint_if_cancelled()
        try:
            self.acquire_on_behalf_of_nowait(borrower)
        except anyio.WouldBlock:
            waiter = _Waiter(None)
            waiter.is_borrower = True
            await self._wait(borrower, waiter)
            return
        try:
            await cancel_shielded_checkpoint()
        except BaseException:
            self.release_on_behalf_of(borrower)
            raise

    def release(self) -> None:
        """Give this task's token back. Raises: RuntimeError if it has none."""
        self.release_on_behalf_of(asyncio.current_task())

    def release_on_behalf_of(self, borrower: object) -> None:
        """Give somebody's token back. Raises: RuntimeError if he has none."""
        try:
            self._borrowers.remove(borrower)
        except KeyError:
            raise RuntimeError("this borrower isn't holding any of this CapacityLimiter's tokens") from None
        self._look()
        self.on_left()

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def statistics(self) -> CapacityLimiterStatistics:
        """Return what anyio shows of a limiter."""
        running = self._running()
        queued = self.threads.pool.waiting()
        waiting = sum(isinstance(job, ThreadCall) and job.threads is self.threads for job in queued)
        return CapacityLimiterStatistics(
            len(self._borrowers) + len(running),
            self._total,
            (*self._borrowers, *running),
            len(self._waiters) + waiting + len(self.threads.behind),
        )

    def _running(self) -> list[ThreadCall]:
        # One that is settled has told its result already; its thread may be a moment behind.
        return [call for call in self.threads.running() if call.is_counted and not call.is_settled]


class _Waiter:
    """Somebody who waits for his turn."""

    __slots__ = ("future", "is_borrower", "is_in", "since", "work")

    def __init__(self, work: Work | None) -> None:
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.since = monotonic()
        self.work = work  # of a call that may be refused
        self.is_borrower = False  # by hand
        self.is_in = False  # a place is kept for it
