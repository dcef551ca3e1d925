"""Calls that frameworks hand to threads: anyio's `to_thread`, asyncio's default executor, `asyncio.to_thread`.

Theory of operation
-------------------
Each is a job of a pool (`thread_call.py`), made and settled on the loop; the thread puts the result into the outbox, as
consumers do their replies. What is specific to a framework is in `applications/`: what surrounds the call in its
thread, and how a cancelled wait goes on.

*Where a call runs* is decided when it is submitted (`FrameworkThreads.submit`), by what it is for:

    of a request                     the pool of the application; past its queue ChannelFull, and the request gets 503
    of a background task             the pool for these, or half of the application's threads at most,
                                     behind its requests
    of start-up, a lifespan, a loop
      of the application             a pool aside: never refused, and no thread of requests is held by it
    bounded by a limiter of its own,
      or made by what a thread has
      begun, and may wait for          the application's if a thread is free, else an extra one

The last line, which goes before all others, is what keeps a full pool from waiting for itself, whichever it is: a call
that a waiting thread may depend on, and the exits of dependencies, which frameworks give a limiter of their own for
that reason, never queue behind what waits for them.

*How many extra threads.* One at a time for each thread that may wait (`Nest`): what else that thread has begun waits
for its turn, or for a free thread of the pool. So a thousand calls for which one thread waits have one extra thread,
and where calls wait for calls in several steps, there is one for each step. Only calls with a limiter of their own are
bounded by that alone. Nobody waits for ever: look at a call for which a thread waits, and which itself waits for none:
it has a thread, or a sibling has one, which ends in the same way, and then its turn comes; unless that sibling waits
for it. So a turn that has not come within `queue_timeout` is waited for no longer (`expire`): the call of a request is
refused, and what is not refused gets a thread of its own, one each second. Extra threads that were idle for a while end
(`ConsumerPool`), and close their connections to databases.

*A client that has left.* Calls of its request that are still queued are taken back (`drop_left`), and these and later
ones raise ChannelClosed in the application, but for exits and background tasks. A thread that has begun goes on.

*Whoever waits is told.* A call ends in exactly one of these: its thread has put it into the outbox; it was taken back
from the queue, by the loop; it was never queued. All three are decided on the loop or by the one `popleft` that took
it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from itertools import chain
from threading import Lock
from typing import Any, Final

from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.bridge.thread_call import ThreadCall
from uvicorn.bridge.work import Nest, Work, nested_below
from uvicorn.errors import ChannelClosed, ChannelFull

__all__ = ["FrameworkPools", "FrameworkThreads", "ThreadCall", "installing", "nest_now", "nested_tests"]

_MOST_LATE: Final = 16  # arbitrary: times the queue's size that calls of background tasks may wait

#: ask frameworks that know it themselves; set by `applications/`
nested_tests: Final[list[Callable[[], Nest | None]]] = []
#: held while a server has frameworks use its threads, or gives them back: others may do so at the same time
installing: Final = Lock()


def nest_now() -> Nest | None:
    """Return the thread that may wait for the calling coroutine, or None. Runs on: the loop."""
    nest = nested_below.get()
    if nest is not None:
        return nest
    return next((nest for test in nested_tests if (nest := test()) is not None), None)


class FrameworkPools:
    """Pools that all applications of a worker share for what is no plain call of a request.

    Attributes:
        aside: for calls outside of requests.
        extra: for calls that must not wait behind others.
        background: for background tasks; None if they run in the pool of their application, behind its requests.
    """

    def __init__(self, aside: ConsumerPool, extra: ConsumerPool, background: ConsumerPool | None = None) -> None:
        self.aside: Final = aside
        self.extra: Final = extra
        self.background: Final = background

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
        behind: calls of background tasks that are not in the pool yet.
        calls: how many were made, by kind: "request", "background", "outside", "extra"; "sensitive" by a lease.
    """

    def __init__(self, pool: ConsumerPool, shared: FrameworkPools, outbox: Outbox, refused: Callable[[], None]) -> None:
        self.pool: Final = pool
        self.outbox: Final = outbox
        self.gate: Any = None
        self.in_flight = 0
        self.calls: Counter[str] = Counter()
        self.behind: Final[deque[ThreadCall]] = deque()
        self._late: list[ThreadCall] = []  # of background tasks, in the pool
        self._nests: set[Nest] = set()  # where calls wait for their turn; and some where none does any more
        self.extra: Final = shared.extra
        self._shared = shared
        self._refused = refused

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(self.calls.items()))
        return f"<FrameworkThreads {counts or 'no calls'}; {self.pool!r}>"

    def submit(self, call: ThreadCall, must_run: bool = False) -> None:
        """Queue a call where it belongs.

        Args:
            must_run: it must not wait behind others, nor be dropped.

        Raises: ChannelFull if it is refused; ChannelClosed if the client of its request has left.
        """
        work = call.work
        call.must_run = must_run
        if work is not None:
            work.hops += 1
        if must_run:
            self._submit_extra(call)
        elif work is not None and work.has_left:
            raise ChannelClosed("the client has left")
        elif (nest := self._nest_of(work)) is not None:
            call.must_run = work is not None and work.is_answered
            call.nest = nest
            self._submit_nested(call, nest)
        elif work is None or work.is_outside:
            self._count(call, "outside", self._shared.aside).submit_beyond(call)
        elif work.is_answered:
            call.must_run = True
            self._submit_background(call)
        else:
            if work.lease is not None:
                work.lease.lend()
            if not self._count(call, "request", self.pool).submit(call):
                self.refuse(work)

    def _nest_of(self, work: Work | None) -> Nest | None:
        """Return the thread that may wait for the calling code, if the call might have to wait for that thread."""
        if work is None or work.is_outside:
            return None if self._shared.aside.has_free_thread else nest_now()
        if work.is_answered:  # these have a part of the threads only
            return nest_now()
        return None if self.pool.has_free_thread else nest_now()

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
        if self.behind:  # a call may have been taken back, which nobody tells
            self.on_late_ended()
        for calls in self._nested():
            kept = []
            for call in calls:
                if call.submitted_at >= before:
                    break
                if call.must_run or call.work is None or call.work.is_outside:
                    kept.append(call)
                else:
                    if not call.work.is_refused:
                        self._refused()
                    call.take_back()
                    call.expire()
            if kept:
                kept[0].take_back()
                self._submit_extra(kept[0])

    def drop_left(self, work: Work) -> None:
        """Take back the queued calls of a request whose client has left."""
        if not work.has_left:
            return
        queued = [job for job in self.pool.waiting() if isinstance(job, ThreadCall)]
        for call in chain(queued, *self._nested()):
            if call.work is work and not call.must_run and call.take_back():
                call.drop(ChannelClosed("the client has left"))
        if self.gate is not None:
            self.gate.drop_left(work)
        if work.lease is not None:
            work.lease.drop_left()

    def give_up(self, reason: str) -> None:
        """End with ServerStopping what waits for its turn, and is in no pool: the worker leaves."""
        for call in [*chain(self.behind, *self._nested())]:
            if call.take_back():
                call.give_up(reason)
        if self.gate is not None:
            self.gate.give_up(reason)

    def _submit_extra(self, call: ThreadCall) -> None:
        pool = self.pool if self.pool.has_free_thread else self._shared.extra
        self._count(call, "extra", pool).submit_beyond(call)

    def _submit_nested(self, call: ThreadCall, nest: Nest) -> None:
        if nest.has_extra and not self.pool.has_free_thread:
            if nest.waiting is None:
                nest.waiting = deque()
            nest.waiting.append(call)
            self._nests.add(nest)
            return
        self._submit_extra(call)
        if call.pool is self.extra:
            nest.has_extra = True

    def _nested(self) -> list[list[ThreadCall]]:
        """Return the calls that wait for their turn, those for which the same thread may wait together."""
        self._nests = {nest for nest in self._nests if nest.waiting}
        return [[call for call in nest.waiting or () if call.threads is self] for nest in self._nests]

    def on_nested_ended(self, call: ThreadCall) -> None:
        """Let in the next ones for which the same thread may wait."""
        nest, call.nest = call.nest, None
        if nest is None:
            return
        if call.pool is self.extra:
            nest.has_extra = False
        while nest.waiting:
            following: ThreadCall = nest.waiting[0]
            threads: FrameworkThreads = following.threads  # type: ignore[assignment]  # it is ours, or a sibling
            if nest.has_extra and not threads.pool.has_free_thread:
                return
            nest.waiting.popleft()
            if not following.must_run and following.work is not None and following.work.has_left:
                following.nest = None
                following.drop(ChannelClosed("the client has left"))
            else:
                threads._submit_nested(following, nest)

    def _submit_background(self, call: ThreadCall) -> None:
        pool = self._shared.background
        if pool is not None:
            self._count(call, "background", pool).submit_beyond(call)
        elif self.pool.late + len(self.behind) >= _MOST_LATE * max(self.pool.queue_size, self.pool.threads):
            raise ChannelFull("too many calls of background tasks wait")
        else:
            self._count(call, "background", self.pool)
            call.is_late = True
            self.behind.append(call)
            self.on_late_ended()

    def on_late_ended(self) -> None:
        """Let in what background tasks wait for: they have half of the threads at most."""
        self._late = [call for call in self._late if not call.is_over]
        while self.behind and len(self._late) < max(1, self.pool.threads // 2):
            call = self.behind.popleft()
            self._late.append(call)
            self.pool.submit_late(call)

    def _count(self, call: ThreadCall, kind: str, pool: ConsumerPool) -> ConsumerPool:
        self.calls[kind] += 1
        call.pool = pool
        return pool
