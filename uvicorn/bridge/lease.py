"""A thread of the pool for all synchronous calls of one asynchronous request, in their order.

Theory of operation
-------------------
Frameworks that run synchronous code for an asynchronous request (asgiref's `sync_to_async`, under Django) want one
thread for all of it: database connections belong to threads. A `Lease` is an executor for that; its thread is a
`Host` (`lease_host.py`), a job of the pool that takes calls until the requests which it hosts are over. So there are
never more such threads than the pool has, they are used again, and a request that needs no thread takes none.

*Permission to compute is taken per call.* A host that waits for a call, or for its turn, computes nothing and weighs
nothing. Before a call that is not light it asks the backlog (`Backlog.permit`), and is told through its inbox.

*Several requests, one thread.* Django begins each request with a short call, its signals; only what follows tells
whether a request wants the thread for anything else. While no thread is free and computing is held back, such a
request is given to the host that has the fewest leases. There a request becomes the *owner* with its first call that
is no signal, until it is over: what it keeps in the thread meanwhile (a transaction, a cursor) is not disturbed by
others, whose calls wait (`_deferred`). An owner that makes no call for `_IDLE_SECONDS` while others wait lets them in
between its calls, as asgiref does where requests share a thread.

*Idle threads are lent.* What does nothing keeps nobody out: see `lending.py`.

*What is no request* has leases of another kind: see `lasting_lease.py`.

*The way back* is the outbox, with all else that threads tell the loop: one wake-up per burst. asyncio takes what
`submit` returns as it is, since it is a future of the loop already (as in `loop_executor.py`).

*Who touches what.* The loop submits and releases, decides which host a lease gets, and alone ends a host, when its
last lease was released. All that a host does with its calls it does in its own thread; what the loop has to say comes
through the inbox. A lease that is released while its host waits for a thread is taken back; one that waits for longer
than `queue_timeout` fails its calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from threading import get_ident
from typing import Any, NoReturn, TypeVar, cast

from uvicorn.bridge.costs import cost_of
from uvicorn.bridge.framework_calls import nest_now
from uvicorn.bridge.lease_call import LeaseCall
from uvicorn.bridge.lease_host import Host
from uvicorn.bridge.lending import Lending
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.bridge.thread_call import from_elsewhere
from uvicorn.bridge.waits import on_own_thread, refuse_deadlock
from uvicorn.bridge.work import Work, nested_below, work_now
from uvicorn.errors import ChannelClosed, ChannelFull

__all__ = ["Lease"]

_T = TypeVar("_T")


class Lease(Executor):
    """One thread of a pool, for calls one after the other.

    Args:
        refused: called when a request finds no place in the pool and its queue, for the log.
        counts: where calls are counted, as "sensitive".
        extra: threads for a request of which a thread waits already, if none is free.
        on_moved: called in the thread before the first call in another one than it began in.

    Attributes:
        is_moved: it has begun in another thread, and made no call in this one yet.
        work: the request that it is for, from its first call on, or None.
        latest: of its calls; others have begun, unless several are made at once.
        is_lasting: it never has a host for itself.
        is_bound: something of it may be in the thread: it has made a call that is no signal. Written by the thread.
    """

    is_lasting = False
    is_bound = False

    def __init__(
        self,
        pool: ConsumerPool,
        outbox: Outbox,
        refused: Callable[[], None] = lambda: None,
        counts: Counter[str] | None = None,
        on_moved: Callable[[], object] = lambda: None,
        extra: ConsumerPool | None = None,
    ) -> None:
        self._extra = extra
        self._refused = refused
        self._on_moved = on_moved
        self.is_moved = False
        self._counts: Counter[str] = Counter() if counts is None else counts
        self.work: Work | None = None
        self.outbox = outbox
        self._pool = pool
        self.latest: LeaseCall | None = None
        self.host: Host | None = None
        self._is_released = False

    def submit(self, function: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]:
        """Have a function called in the lease's thread. Runs on: any thread.

        Returns: on the loop an asyncio.Future where a concurrent one is promised: `asyncio.wrap_future` returns it as
            it is. In other threads, which may run loops of their own for this request, it is a concurrent one.
        Raises: ChannelFull if it is the first call, and the pool and its queue are full; WrongSide if the thread waits
            for the calling coroutine.
        """
        if get_ident() != self.outbox.loop_thread:
            if self.host is not None and self.host.thread_id == get_ident():
                raise on_own_thread(cost_of(function, args).name)
            return from_elsewhere(self.outbox, partial(self.submit, function, *args, **kwargs))
        if self._is_released:
            raise RuntimeError("the request is over, and its thread serves others")
        call = self.latest = LeaseCall(self, function, args, kwargs)
        host = self.host
        if host is not None and (waiting := host.let_go_of_thread(self)) is not None:
            self.detach()
            host = self.host = self._find_other_host(call, waiting)
        elif host is None:
            host = self.host = self._find_host(call)
        elif nested_below.get():
            refuse_deadlock(host.thread_id, call.cost.name)
            if self._extra is not None:
                host.hurry(self._extra)
        self._counts["sensitive"] += 1
        host.put(call)
        return cast("Future[_T]", call.future)

    def _find_host(self, call: LeaseCall) -> Host:
        """Return the host for the first call. Raises: ChannelFull."""
        pool, work = self._pool, work_now()
        self.work = work
        if work is not None:
            work.lease = self
        if pool.on_short is None:
            lending = Lending(pool, self.outbox.loop)
            pool.on_short, pool.spare = lending.look, lending.count
        if self._is_waited_for():
            pool.leased += 1
            return self._extra_host(pool.hosts)
        guests = pool.leased - len(pool.hosts)
        if call.cost.is_exit and self.is_moved:
            pass  # it lets something go, and there is nobody who would try again
        elif pool.is_full or (guests and guests >= pool.queue_size and not pool.has_free_thread):
            if work is None or not work.is_refused:
                self._refused()
            if work is not None:
                work.is_refused = True
            self._raise_full()
        return _host_for(pool, call)

    def _find_other_host(self, call: LeaseCall, waiting: list[LeaseCall]) -> Host:
        """Return the host for a call, and for those before it that wait for another thread. Raises: ChannelFull."""
        try:
            host = self._find_host(call)
        except ChannelFull:
            for earlier in waiting:
                earlier.fail()
            raise
        for earlier in waiting:
            host.put(earlier)
        return host

    def _is_waited_for(self) -> bool:
        """Whether a thread waits for the calling code, which could have to wait for that thread."""
        return self._extra is not None and not self._pool.has_free_thread and nest_now() is not None

    def _extra_host(self, hosts: list[Host]) -> Host:
        assert self._extra is not None
        host = Host(self._extra, self, hosts)
        self._extra.submit_beyond(host)
        return host

    def _raise_full(self) -> NoReturn:
        self._pool.rejected += 1
        self.latest = None
        raise ChannelFull("the pool and its queue are full")

    def release(self) -> None:
        """Give the thread back, after the calls that were submitted. Runs on: the loop."""
        self._is_released = True
        self.latest = None  # they hold each other
        if self.work is not None:
            self.work.lease = None
        host, self.host = self.host, None
        if host is not None:
            self._pool.leased -= 1
            host.leave(self)

    def drop_left(self) -> None:
        """End the call, because the client has left, while there is no thread: nothing is to be undone.

        Runs on: the loop.
        """
        call, host = self.latest, self.host
        if call is not None and not call.cost.is_exit and host is not None and not host.thread_id:
            call.fail(ChannelClosed("the client has left"))

    def refuse(self) -> None:
        """End without a thread: none became free in time. Runs on: the loop."""
        self._is_released = True
        self.latest = self.host = None
        self._pool.leased -= 1
        if self.work is not None:
            self.work.is_refused = True

    def lend(self) -> None:
        """Let others have the thread if none is free, and no call is made in it: this request waits for them.

        Runs on: the loop.
        """
        if self.host is not None and not self._pool.has_free_thread:
            self.host.go_away()

    def detach(self) -> None:
        """Forget the host: it was sent away, and kept nothing. Runs on: the loop."""
        self.host = None
        self.is_moved = True
        self._pool.leased -= 1

    def look_around(self) -> None:
        """Look at what belongs to the thread, before the first call in it. Runs on: that thread."""
        self.is_moved = False
        self._on_moved()


def _host_for(pool: ConsumerPool, call: LeaseCall) -> Host:
    """Return the host for the lease that makes this call. Runs on: the loop."""
    pool.leased += 1
    if call.is_opening and not pool.has_free_thread and _is_computing(pool):
        queued = [host for host in pool.hosts if not host.thread_id]
        # Others in the queue come first: no host would ever end while it gets new guests.
        if pool.queued <= len(queued) and all(host.is_opening for host in queued):
            free = [host for host in pool.hosts if host.thread_id and host.owner is None and not host.is_extra]
            if free:
                for other in queued:
                    if pool.cancel(other):
                        min(free, key=_count).adopt(other)
                host: Host = min(free, key=_count)
                host.leases.append(call.lease)
                return host
    host = Host(pool, call.lease, pool.hosts)
    pool.submit_beyond(host)
    return host


def _is_computing(pool: ConsumerPool) -> bool:
    """Whether the hosts wait for permission to compute, and not for something else: these leave their threads soon."""
    return pool.held > 0


def _count(host: Host) -> int:
    return len(host.leases)
