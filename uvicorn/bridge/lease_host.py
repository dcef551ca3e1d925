"""The thread that makes the calls of leases: a job of the pool.

Theory of operation: see `lease.py`. The loop adds leases and lets them go, and alone ends a host; all that it does with
its calls it does in its own thread, and what the loop has to say comes through the inbox.

*Idle* is a host all of whose calls have ended: the loop counts what it puts, and the thread what has ended, before it
tells of it. So whoever is told of the last one finds the host idle, and one that is found idle has nothing in hand, and
will have nothing that the loop does not put. It may be sent away then: see `lending.py`.
"""

from __future__ import annotations

import queue
from collections import deque
from threading import get_ident
from time import monotonic
from typing import Any, Final

from uvicorn.bridge.governor import Load
from uvicorn.bridge.lease_call import Guest, LeaseCall
from uvicorn.bridge.measure import Measure
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.bridge.slots import Slot
from uvicorn.errors import ChannelClosed, ServerStopping

__all__ = ["Host"]

_IDLE_SECONDS: Final = 0.05  # arbitrary: how long an owner between two calls keeps others waiting
_END: Final = object()  # no lease is left
_AWAY: Final = object()  # others may have the thread
_GRANTED: Final = object()  # the call that asked may compute
_NOTHING: Final = Load(can_learn=False)  # of a host that has made no call yet
_NOTHING.is_light = True


class Host:
    """One thread that makes the calls of leases: a job of the pool.

    Args:
        home: the list of such hosts; it is there until it ends.

    Attributes:
        leases: whom it hosts. Loop only.
        owner: who has it for himself just now; written by the thread.
        thread_id: 0 until it has a thread.
        idle_since: when its last call ended, or its thread began.
        is_lasting: it hosts what is no request.
        is_extra: its thread is not one of the pool of its leases.
        away_from: the thread that it keeps, and has lent to others. Loop only.
        started_at: when its present call began.
    """

    def __init__(self, pool: ConsumerPool, lease: Guest, home: list[Any]) -> None:
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.leases = [lease]
        self.owner: Guest | None = None
        self.thread_id = 0
        self.submitted_at = monotonic()
        self.started_at = 0.0
        self.is_waiting = True
        self.load: Load = _NOTHING  # of its present call, or of the one that asks
        self.name = "a lease"
        self.is_long = False
        self._pool = pool
        self._home = home
        self.is_extra = home is not pool.hosts and home is not pool.shared_hosts
        self.is_lasting = lease.is_lasting
        home.append(self)
        self._asking: LeaseCall | None = None  # waits for permission
        self.idle_since = 0.0
        self.away_from: Slot | None = None
        self._sent = 0  # calls; loop only
        self._ended = 0  # of them; written by the thread
        self._deferred: deque[LeaseCall] = deque()  # wait for the owner, or behind the one that asks

    # ---- on the loop ----

    @property
    def is_opening(self) -> bool:
        """Whether its only lease has made such a call alone, while the host is queued."""
        latest = self.leases[0].latest
        return len(self.leases) == 1 and latest is not None and latest.is_opening

    def adopt(self, other: Host) -> None:
        """Take over the lease of a host that was taken back from the queue."""
        self._home.remove(other)
        [lease] = other.leases
        lease.host = self
        self.leases.append(lease)
        for call in other._take_back():
            self.put(call)

    def put(self, call: LeaseCall) -> None:
        """Have a call made."""
        self._sent += 1
        self.inbox.put(call)
        slot, self.away_from = self.away_from, None
        if slot is not None:
            self._pool.resume(self, slot)

    def hurry(self, extra: ConsumerPool) -> None:
        """Have an extra thread instead of waiting for one, because a thread waits for what is put next."""
        if not (self.thread_id or self._pool.has_thread) and self._pool.cancel(self):
            self._pool, self.is_extra = extra, True
            extra.submit_beyond(self)

    def go_away(self) -> bool:
        """Give the thread to others, until there is another call; return whether it could be given."""
        if not (self.is_here and self.is_idle):
            return False
        if not any(lease.is_bound for lease in self.leases):
            self._home.remove(self)
            leases, self.leases = self.leases, []
            for lease in leases:
                lease.detach()
            self.inbox.put(_END)
            return True
        self.away_from = self._pool.slot_of(self)
        if self.away_from is None:
            return False
        self.inbox.put(_AWAY)
        return True

    def leave(self, lease: Guest) -> None:
        """Let a lease go."""
        self.leases.remove(lease)
        if self.leases:
            self.inbox.put(lease)
            return
        self._home.remove(self)
        if self._pool.cancel(self):
            for call in self._take_back():
                call.future.cancel()
        else:
            self.inbox.put(_END)

    @property
    def must_run(self) -> bool:
        """Whether it waits for a thread to let something go."""
        return any(lease.latest is not None and lease.latest.cost.is_exit for lease in self.leases)

    def expire(self) -> None:
        """Fail the calls: no thread became free in time."""
        self._home.remove(self)
        leases, self.leases = self.leases, []
        for call in self._take_back():
            call.fail()
        for lease in leases:
            lease.refuse()

    def give_up(self) -> None:
        """End with ServerStopping all calls of a host whose thread is stuck: the worker leaves."""
        for lease in self.leases:
            call = lease.latest
            if call is not None and not call.future.done():
                if lease.work is not None:
                    lease.work.give_up()
                call.future.set_exception(ServerStopping("its thread is stuck, and the worker is replaced"))

    def _take_back(self) -> list[LeaseCall]:
        """Return the calls of a host that will have no thread."""
        items = [self.inbox.get_nowait() for _ in range(self.inbox.qsize())]
        return [item for item in items if isinstance(item, LeaseCall)]

    @property
    def is_idle(self) -> bool:
        """Whether all its calls have ended."""
        return self._ended == self._sent

    @property
    def is_here(self) -> bool:
        """Whether it has a thread of the pool, and leases."""
        return self.thread_id != 0 and self.away_from is None and bool(self.leases) and not self.is_extra

    def drop_left(self) -> None:
        """End the calls of requests whose client has left, while there is no thread: nothing is to be undone."""
        if self.thread_id:
            return
        for lease in self.leases:
            call = lease.latest
            if call is not None and not call.cost.is_exit and lease.work is not None and lease.work.has_left:
                call.fail(ChannelClosed("the client has left"))

    def expire_calls(self, before: float) -> int:
        """Fail calls that have waited in the thread since then (time.monotonic()); return how many."""
        count = 0
        for lease in self.leases:
            call = lease.latest
            if call is None or (call.cost.is_exit and not self.thread_id):
                continue
            if call.since < before and call.fail():
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
        """Make the calls that come, until the last lease was released, and what it asked for is done; or until others
        may have the thread.
        """
        self.idle_since = monotonic()
        self.thread_id = get_ident()
        is_ending = False
        while not (is_ending and self._asking is None and not self._deferred and self.inbox.empty()):
            item = self._next()
            if item is None:  # the owner was idle for long
                self._run(self._deferred.popleft())
            elif isinstance(item, LeaseCall):
                self._take(item)
            elif item is _GRANTED:
                call, self._asking = self._asking, None
                if call is not None:
                    self._make(call)
                    del call
                self._look_at_deferred()
            elif item is _AWAY:
                self.load = _NOTHING  # or the next stay would be measured as its last call
                return
            elif item is _END or item is self.owner:
                is_ending = item is _END
                self.owner = None
                self._look_at_deferred()
            del item

    def _next(self) -> Any:
        """Wait for what is next; None if others wait for an owner who makes no calls."""
        if self._deferred and self._asking is None:
            since = max(self._deferred[0].deferred_at, self.idle_since)
            try:
                return self.inbox.get(timeout=max(0.0, since + _IDLE_SECONDS - monotonic()))
            except queue.Empty:
                return None
        return self.inbox.get()

    def _take(self, call: LeaseCall) -> None:
        """Make a call now, if it may be; otherwise keep it."""
        is_others = self.owner is not None and call.lease is not self.owner
        if is_others or (self._asking is not None and not call.cost.is_passing):
            call.deferred_at = monotonic()
            self._deferred.append(call)
            return
        self._run(call)

    def _run(self, call: LeaseCall) -> None:
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

    def _make(self, call: LeaseCall) -> None:
        """Make a call that is permitted."""
        was_light = call.cost.load.is_light
        if not (call.cost.is_passing or call.lease.is_lasting):
            self.owner = call.lease
            call.lease.is_bound = True
        try:
            self._call(call)
        finally:
            self.is_waiting = True
            if not (was_light and call.cost.load.is_light):  # or nothing was freed for others
                self._pool.look_again()

    def _call(self, call: LeaseCall) -> None:
        run, load = call.run, call.cost.load
        if not call.claim():
            self.idle_since = monotonic()
            self._ended += 1
            return
        is_measured = not load.is_known or self._pool.takes_measure()
        measure = Measure(self._pool.is_alone(self)) if is_measured else None
        self.started_at = call.began = monotonic()
        try:
            if call.lease.is_moved:
                call.lease.look_around()
            call.result = run()
        except BaseException as error:
            call.error = error
        call.ended = self.idle_since = monotonic()
        if measure is not None:
            measure.end(load, self._pool.is_alone(self))
        self._ended += 1
        call.lease.outbox.put(call.settle)
        del run, call  # or what they hold would live until the next call

    def _look_at_deferred(self) -> None:
        """Take what waited, as far as it may run now."""
        waiting, self._deferred = self._deferred, deque()
        while waiting:
            self._take(waiting.popleft())
