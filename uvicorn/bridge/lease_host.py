"""What makes the calls of leases: a job of the pool.

Theory of operation: see `lease.py`. Here is what the loop does: it adds leases and lets them go, and alone ends a host.
All that a host does with its calls it does in its own thread (`lease_thread.py`), and what the loop has to say comes
through the inbox. All methods here run on: the loop.

*Idle* is a host all of whose calls have ended: the loop counts what it puts, and the thread what has ended, before it
tells of it. So whoever is told of the last one finds the host idle, and one that is found idle has nothing in hand, and
will have nothing that the loop does not put. It may be sent away then: see `lending.py`.
"""

from __future__ import annotations

from typing import Any

from uvicorn.bridge.lease_call import Guest, LeaseCall
from uvicorn.bridge.lease_thread import AWAY, END, HostThread
from uvicorn.bridge.pool import ConsumerPool, Slot
from uvicorn.bridge.work import nested_below
from uvicorn.errors import ServerStopping

__all__ = ["Host"]


class Host(HostThread):
    """One thread that makes the calls of leases: a job of the pool.

    Args:
        home: the list of such hosts; it is there until it ends.

    Attributes:
        leases: whom it hosts. Loop only.
        is_lasting: it hosts what is no request.
        is_extra: its thread is not one of the pool of its leases.
        away_from: the thread that it keeps, and has lent to others. Loop only.
    """

    def __init__(self, pool: ConsumerPool, lease: Guest, home: list[Any]) -> None:
        super().__init__(pool)
        self.leases = [lease]
        self._home = home
        self.is_extra = home is not pool.hosts and home is not pool.shared_hosts
        self.is_lasting = lease.is_lasting
        home.append(self)
        self.away_from: Slot | None = None
        self._pinned_to: Slot | None = None  # for which it waits, unless it has had it since; loop only
        self._sent = 0  # calls; loop only

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
            self._pinned_to = slot
            self._pool.resume(self, slot)

    def let_go_of_thread(self, lease: Guest) -> list[LeaseCall] | None:
        """Let a lease go, if others have the thread that the host keeps, and may wait for what the lease does next.

        Returns: its calls that wait for that thread; None if the lease stays.
        """
        slot = self.away_from or self._pinned_to
        if slot is None or not _is_held_up(slot, self):
            return None
        calls: list[LeaseCall] = []
        if self.away_from is None:
            try:
                slot.pinned.remove(self)
            except ValueError:
                return None  # it has its thread again
            self.away_from, self._pinned_to = slot, None
            for item in self._take_items():
                if isinstance(item, LeaseCall) and item.lease is lease:
                    calls.append(item)
                    self._sent -= 1
                else:
                    self.inbox.put(item)
            if not self.is_idle:  # others wait, too
                self.away_from, self._pinned_to = None, slot
                self._pool.resume(self, slot)
        self.leave(lease)
        return calls

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
            self.inbox.put(END)
            return True
        self.away_from = self._pool.slot_of(self)
        if self.away_from is None:
            return False
        self.inbox.put(AWAY)
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
            self.inbox.put(END)

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

    def give_up(self, reason: str) -> None:
        """End with ServerStopping all calls of a host that has no thread, or a stuck one: the worker leaves."""
        for lease in self.leases:
            call = lease.latest
            if call is not None and not call.future.done():
                if lease.work is not None:
                    lease.work.give_up()
                call.future.set_exception(ServerStopping(reason))

    def _take_back(self) -> list[LeaseCall]:
        """Return the calls of a host that will have no thread."""
        return [item for item in self._take_items() if isinstance(item, LeaseCall)]

    def _take_items(self) -> list[Any]:
        return [self.inbox.get_nowait() for _ in range(self.inbox.qsize())]

    @property
    def is_idle(self) -> bool:
        """Whether all its calls have ended."""
        return self._ended == self._sent

    @property
    def is_here(self) -> bool:
        """Whether it has a thread of the pool, and leases."""
        return self.thread_id != 0 and self.away_from is None and bool(self.leases) and not self.is_extra

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


def _is_held_up(slot: Slot, host: Host) -> bool:
    """Whether the job of a thread may wait for the call that is made now, or never end. Runs on: the loop."""
    job = slot.job
    return job is not None and job is not host and (nested_below.get() is not None or slot.stuck is job)
