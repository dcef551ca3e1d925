"""A thread of the pool for all synchronous calls of one asynchronous request, in their order.

Theory of operation
-------------------
Frameworks that run synchronous code for an asynchronous request (asgiref's `sync_to_async`, under Django) want one
thread for all of it: database connections belong to threads. A `Lease` is an executor for that; its thread is a
`_Host`, a job of the pool that takes calls until the requests which it hosts are over. So there are never more such
threads than the pool has, they are used again, and a request that needs no thread takes none.

*Permission to compute is taken per call.* A host that waits for a call, or for its turn, computes nothing and weighs
nothing. Before a call that is not light it asks the backlog (`Backlog.permit`), and is told through its inbox.

*Several requests, one thread.* Django begins each request with a short call, its signals; only what follows tells
whether a request wants the thread for anything else. While no thread is free and computing is held back, such a
request is given to the host that has the fewest leases. There a request becomes the *owner* with its first call that
is no signal, until it is over: what it keeps in the thread meanwhile (a transaction, a cursor) is not disturbed by
others, whose calls wait (`_deferred`). An owner that makes no call for `_IDLE_SECONDS` while others wait lets them in
between its calls, as asgiref does where requests share a thread: so one that streams for hours keeps nobody out.

*The way back* is the outbox, with all else that threads tell the loop: one wake-up per burst. asyncio takes what
`submit` returns as it is, since it is a future of the loop already (as in `loop_executor.py`).

*Who touches what.* The loop submits and releases, decides which host a lease gets, and alone ends a host, when its
last lease was released. All that a host does with its calls it does in its own thread; what the loop has to say comes
through the inbox. A lease that is released while its host waits for a thread is taken back; one that waits for longer
than `queue_timeout` fails its calls.
"""

from __future__ import annotations

import asyncio
import queue
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from threading import get_ident
from time import monotonic, process_time, thread_time
from typing import Any, Final, TypeVar, cast

from uvicorn.bridge.costs import Cost, cost_of
from uvicorn.bridge.framework_calls import settable
from uvicorn.bridge.governor import Load
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.bridge.waits import refuse_deadlock
from uvicorn.bridge.work import Work, nested_below, work_now
from uvicorn.errors import ChannelFull

__all__ = ["Lease"]

_T = TypeVar("_T")
_IDLE_SECONDS: Final = 0.05  # arbitrary: how long an owner between two calls keeps others waiting


class Lease(Executor):
    """One thread of a pool, for calls one after the other.

    Attributes:
        work: the request that it is for, from its first call on, or None.

    Raises: ChannelFull if the pool and its queue are full: ask before there is anything to run.
    """

    def __init__(self, pool: ConsumerPool, outbox: Outbox) -> None:
        if pool.is_full or (pool.leased - len(pool.hosts) >= pool.queue_size and not pool.has_free_thread):
            pool.rejected += 1
            raise ChannelFull("the pool and its queue are full")
        self.work: Work | None = None
        self.outbox: Final = outbox
        self._pool = pool
        self.latest: _Call | None = None  # of its calls; others have begun, unless several are made at once
        self.host: _Host | None = None
        self._is_released = False

    def submit(self, function: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]:
        """Have a function called in the lease's thread. Runs on: the loop.

        Returns: an asyncio.Future where a concurrent one is promised: `asyncio.wrap_future` returns it as it is.
        Raises: WrongSide if that thread waits for the calling coroutine.
        """
        if self._is_released:
            raise RuntimeError("the request is over, and its thread serves others")
        call = self.latest = _Call(self, function, args, kwargs)
        host = self.host
        if host is None:
            self.work = work_now()
            host = self.host = _host_for(self._pool, call)
        elif nested_below.get():
            refuse_deadlock(host.thread_id, function)
        host.inbox.put(call)
        return cast("Future[_T]", call.future)

    def release(self) -> None:
        """Give the thread back, after the calls that were submitted. Runs on: the loop."""
        self._is_released = True
        self.latest = None  # they hold each other
        host, self.host = self.host, None
        if host is not None:
            self._pool.leased -= 1
            host.leave(self)

    def refuse(self) -> None:
        """End without a thread: none became free in time. Runs on: the loop."""
        self._is_released = True
        self.host = None
        self._pool.leased -= 1
        if self.work is not None:
            self.work.is_refused = True


class _Call:
    """One call of a lease."""

    __slots__ = (
        "_turn", "began", "cost", "deferred_at", "ended", "error", "future", "lease", "result", "run", "since",
    )  # fmt: skip

    def __init__(self, lease: Lease, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self.lease = lease
        self.cost: Cost = cost_of(function, args)
        self.future: asyncio.Future[Any] = lease.outbox.loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None
        self.began = self.ended = 0.0
        self.run: Callable[[], Any] = partial(function, *args, **kwargs)
        self.since = self.deferred_at = monotonic()
        self._turn = [True]

    @property
    def is_opening(self) -> bool:
        """Whether it is short, and says nothing of what its request wants the thread for."""
        return self.cost.is_passing and self.cost.load.is_short

    def claim(self) -> bool:
        """Whether the caller is the one that may end the call: its thread, or the loop that refuses it. Any thread."""
        try:
            return self._turn.pop() and not self.future.cancelled()
        except IndexError:
            return False

    def fail(self) -> bool:
        """Refuse the call, if it has not begun; return whether that was so. Runs on: the loop."""
        is_ours = self.claim()
        if is_ours:
            self.future.set_exception(ChannelFull("no thread became free in time"))
        return is_ours

    def settle(self, _: object = None) -> None:
        """Tell how the call has ended. Runs on: the loop."""
        work = self.lease.work
        if work is not None:
            work.hops += 1
            work.wait_seconds += self.began - self.since
            work.run_seconds += self.ended - self.began
        error, self.error = self.error, None  # or its traceback and the call would hold each other
        result, self.result = self.result, None
        if self.future.done():
            return  # nobody waits any more
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(settable(error))


_END: Final = object()  # no lease is left
_GRANTED: Final = object()  # the call that asked may compute
_NOTHING: Final = Load(can_learn=False)  # of a host that has made no call yet
_NOTHING.is_light = True


def _host_for(pool: ConsumerPool, call: _Call) -> _Host:
    """Return the host for the lease that makes this call. Runs on: the loop."""
    pool.leased += 1
    if call.is_opening and not pool.has_free_thread and _is_computing(pool):
        queued = [host for host in pool.hosts if not host.thread_id]
        # Others in the queue come first: no host would ever end while it gets new guests.
        if pool.queued <= len(queued) and all(host.is_opening for host in queued):
            free = [host for host in pool.hosts if host.thread_id and host.owner is None]
            if free:
                for other in queued:
                    if pool.cancel(other):
                        min(free, key=_count).adopt(other)
                host: _Host = min(free, key=_count)
                host.leases.append(call.lease)
                return host
    host = _Host(pool, call.lease)
    pool.hosts.append(host)
    pool.submit_beyond(host)
    return host


def _is_computing(pool: ConsumerPool) -> bool:
    """Whether the hosts wait for permission to compute, and not for something else: these leave their threads soon."""
    return pool.held > 0


def _count(host: _Host) -> int:
    return len(host.leases)


class _Host:
    """One thread that makes the calls of leases: a job of the pool.

    Attributes:
        leases: whom it hosts. Loop only.
        owner: who has it for himself just now; written by the thread.
        thread_id: 0 until it has a thread.
        started_at: when its present call began.
    """

    def __init__(self, pool: ConsumerPool, lease: Lease) -> None:
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.leases = [lease]
        self.owner: Lease | None = None
        self.thread_id = 0
        self.submitted_at = monotonic()
        self.started_at = 0.0
        self.is_waiting = True
        self.load: Load = _NOTHING  # of its present call, or of the one that asks
        self.name = "a lease"
        self.is_long = False
        self._pool = pool
        self._asking: _Call | None = None  # waits for permission
        self._idle_since = 0.0  # when the last call ended
        self._deferred: deque[_Call] = deque()  # wait for the owner, or behind the one that asks

    # ---- on the loop ----

    @property
    def is_opening(self) -> bool:
        """Whether its only lease has made such a call alone, while the host is queued."""
        latest = self.leases[0].latest
        return len(self.leases) == 1 and latest is not None and latest.is_opening

    def adopt(self, other: _Host) -> None:
        """Take over the lease of a host that was taken back from the queue."""
        self._pool.hosts.remove(other)
        [lease] = other.leases
        lease.host = self
        self.leases.append(lease)
        while not other.inbox.empty():
            self.inbox.put(other.inbox.get_nowait())

    def leave(self, lease: Lease) -> None:
        """Let a lease go."""
        self.leases.remove(lease)
        if self.leases:
            self.inbox.put(lease)
            return
        self._pool.hosts.remove(self)
        if not self._pool.cancel(self):
            self.inbox.put(_END)

    def expire(self) -> None:
        """Fail the calls: no thread became free in time."""
        self._pool.hosts.remove(self)
        for lease in self.leases:
            if lease.latest is not None:
                lease.latest.fail()
            lease.refuse()

    def expire_calls(self, before: float) -> int:
        """Fail calls that have waited in the thread since then (time.monotonic()); return how many."""
        count = 0
        for lease in self.leases:
            call = lease.latest
            if call is not None and call.since < before and call.fail():
                if lease.work is not None:
                    lease.work.is_refused = True
                count += 1
        return count

    # ---- told by the backlog; any thread ----

    def grant(self) -> None:
        """Permit the call that asked. The caller holds the backlog's lock."""
        self.is_waiting = False
        self.inbox.put(_GRANTED)

    # ---- in its thread ----

    def run(self) -> None:
        """Make the calls that come, until the last lease was released, and what it asked for is done."""
        self.thread_id = get_ident()
        is_ending = False
        while not (is_ending and self._asking is None and not self._deferred and self.inbox.empty()):
            item = self._next()
            if item is None:  # the owner was idle for long
                self._run(self._deferred.popleft())
            elif isinstance(item, _Call):
                self._take(item)
            elif item is _GRANTED:
                call, self._asking = self._asking, None
                if call is not None:
                    self._make(call)
                    del call
                self._look_at_deferred()
            elif item is _END or item is self.owner:
                is_ending = item is _END
                self.owner = None
                self._look_at_deferred()
            del item

    def _next(self) -> Any:
        """Wait for what is next; None if others wait for an owner who makes no calls."""
        if self._deferred and self._asking is None:
            since = max(self._deferred[0].deferred_at, self._idle_since)
            try:
                return self.inbox.get(timeout=max(0.0, since + _IDLE_SECONDS - monotonic()))
            except queue.Empty:
                return None
        return self.inbox.get()

    def _take(self, call: _Call) -> None:
        """Make a call now, if it may be; otherwise keep it."""
        is_others = self.owner is not None and call.lease is not self.owner
        if is_others or (self._asking is not None and not call.cost.is_passing):
            call.deferred_at = monotonic()
            self._deferred.append(call)
            return
        self._run(call)

    def _run(self, call: _Call) -> None:
        """Make a call, or ask whether it may compute now."""
        if self._asking is None:
            self.load, self.name, self.is_long = call.cost.load, call.cost.name, call.cost.is_long
            if not self._pool.permit(self):
                self._asking = call
                return
        else:  # short, and another one asks: it passes, and does not count
            self._call(call)
            return
        self._make(call)

    def _make(self, call: _Call) -> None:
        """Make a call that is permitted."""
        was_light = call.cost.load.is_light
        if not call.cost.is_passing:
            self.owner = call.lease
        try:
            self._call(call)
        finally:
            self.is_waiting = True
            self._idle_since = monotonic()
            if not (was_light and call.cost.load.is_light):  # or nothing was freed for others
                self._pool.look_again()

    def _call(self, call: _Call) -> None:
        run, load = call.run, call.cost.load
        if not call.claim():
            return
        is_measured = not load.is_known or self._pool.takes_measure()
        was_alone = is_measured and self._pool.is_alone(self)
        cpu_began, process_began = (thread_time(), process_time()) if is_measured else (0.0, 0.0)
        self.started_at = call.began = monotonic()
        try:
            call.result = run()
        except BaseException as error:
            call.error = error
        call.ended = monotonic()
        if is_measured:
            cpu = thread_time() - cpu_began
            others = process_time() - process_began - cpu
            load.learn(cpu, call.ended - call.began, was_alone and self._pool.is_alone(self), others)
        call.lease.outbox.put(call.settle)
        del run, call  # or what they hold would live until the next call

    def _look_at_deferred(self) -> None:
        """Take what waited, as far as it may run now."""
        waiting, self._deferred = self._deferred, deque()
        while waiting:
            self._take(waiting.popleft())
