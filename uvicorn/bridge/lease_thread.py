"""What a host of leases does in its thread: it makes their calls, in their order.

Theory of operation: see `lease.py`. All that the loop has to say comes through the inbox; all that the loop may know is
in attributes that one side writes.
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
from uvicorn.bridge.pause import Pause
from uvicorn.bridge.pool import ConsumerPool

__all__ = ["AWAY", "END", "HostThread"]

_IDLE_SECONDS: Final = 0.05  # arbitrary: how long an owner between two calls keeps others waiting
END: Final = object()  # no lease is left
AWAY: Final = object()  # others may have the thread
_GRANTED: Final = object()  # the call that asked may compute
_NOTHING: Final = Load(can_learn=False)  # of a host that has made no call yet
_NOTHING.is_light = True


class HostThread:
    """The part of a host that its thread runs.

    Attributes:
        owner: who has it for himself just now; written by the thread.
        thread_id: 0 until it has a thread.
        idle_since: when its last call ended, or its thread began.
        started_at: when its present call began.
    """

    def __init__(self, pool: ConsumerPool) -> None:
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.owner: Guest | None = None
        self.thread_id = 0
        self.submitted_at = monotonic()
        self.started_at = 0.0
        self.is_waiting = True
        self.load: Load = _NOTHING  # of its present call, or of the one that asks
        self.name = "a lease"
        self.is_long = False
        self.idle_since = 0.0
        self._pool = pool
        self._asking: LeaseCall | None = None  # waits for permission
        self._pause: Pause | None = None  # after a call that computed; until it is over, that one counts still
        self._ended = 0  # calls; written by the thread
        self._deferred: deque[LeaseCall] = deque()  # wait for the owner, or behind the one that asks

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
        while not (is_ending and self._is_done()):
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
            elif item is self._pause:  # the loop has turned, or the time is over
                self._end_pause()
            elif item is AWAY:
                self._end_pause()
                self.load = _NOTHING  # or the next stay would be measured as its last call
                return
            elif item is END or item is self.owner:
                is_ending = item is END
                self.owner = None
                self._look_at_deferred()
            del item

    def _is_done(self) -> bool:
        """Whether nothing is left to do but what the loop puts next."""
        return self._asking is None and self._pause is None and not self._deferred and self.inbox.empty()

    def _next(self) -> Any:
        """Wait for what is next; the pause if it is over; None if others wait for an owner who makes no calls."""
        if self._pause is not None:
            try:
                item = self.inbox.get(timeout=self._pause.seconds_left)
                if item is self._pause:
                    self._pool.pauses.on_turned()
                return item
            except queue.Empty:
                self._pool.pauses.on_too_short()
                return self._pause
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
        passes = call.cost.is_passing and call.cost.load.is_light and self._pause is not None
        if self._asking is None and not passes:
            self._end_pause()
            self.load, self.name, self.is_long = call.cost.load, call.cost.name, call.cost.is_long
            if not self._pool.permit(self):
                self._asking = call
                return
        else:  # short, and another one asks or has computed: it passes, and does not count
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
            self._call(call, can_pause=not was_light)
        finally:
            self.is_waiting = self._pause is None
            if self._pause is None and not (was_light and call.cost.load.is_light):  # or nothing was freed for others
                self._pool.look_again()

    def _end_pause(self) -> None:
        """Let others compute."""
        if self._pause is not None:
            self._pause.end()
            self._pause = None
            self.is_waiting = True
            self._pool.look_again()

    def _call(self, call: LeaseCall, can_pause: bool = False) -> None:
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
        outbox = call.lease.outbox
        if can_pause and (seconds := self._pool.pauses.seconds_after(load, self._pool.limit, self._pool.held)):
            self._pause = Pause(outbox, self.inbox, seconds)
            outbox.put(call.settle)
            outbox.put(self._pause.on_call_ended)
        else:
            outbox.put(call.settle)
        del run, call  # or what they hold would live until the next call

    def _look_at_deferred(self) -> None:
        """Take what waited, as far as it may run now."""
        waiting, self._deferred = self._deferred, deque()
        while waiting:
            self._take(waiting.popleft())
