"""Which worker of a master takes the next connection: numbers of each, in memory that they share.

Theory of operation
-------------------
Every loop wakes when a connection waits at a socket that all workers have. Each of them writes its own numbers and
looks at those of its siblings. Whoever is worse off than one of them leaves the connection to it for a moment:

- one with no free thread leaves it to those that have one;
- one that has more to do (connections, calls, and what it has accepted of late) leaves it to those with less. What a
  worker has accepted counts little, but for connections that come and go it is all that there is.

There is always one that leaves it to nobody, so no connection waits because of this while that one's loop turns. A
sibling that shows no sign of life while it is waited for (`_PATIENCE_SECONDS`) is *absent*, and is not counted until it
writes again: its loop is blocked, it was stopped, or it is gone.

No lock: each worker writes its own place, and the master one that it is about to give. A reader may see half of what is
just being written; that costs a moment, or puts one connection where another would have been better.

A worker that does not accept (it starts, it leaves, all its connections are open) is not counted.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol

__all__ = ["Balance", "Decision", "Load", "Scales", "balance_for", "decide"]

_LOAD: Final = struct.Struct("=???xIIIId")  # in use; accepting, full; then as in `Load`
_PLACE_BYTES: Final = 64  # a line of the processor's cache
_PLACES_IN_USE: Final = struct.Struct(f"{_LOAD.format}{_PLACE_BYTES - _LOAD.size}x")
_UINT: Final = 0xFFFFFFFF

_CALL_WEIGHT: Final = 0.5  # of a call that runs or waits, against a connection; arbitrary, as the next ones
_ACCEPTED_WEIGHT: Final = 0.5  # of a connection that was accepted
_SLACK: Final = 1.0  # how much more than a sibling a worker may have
_SLACK_SHARE: Final = 1 / 6  # and this share of what they have on average: a burst is taken in few rounds
_COMING_SLACK: Final = 12.0  # times the share of closed ones in what happens: how many are open says little then
_COMING_TURNS: Final = 32  # connections, opened or closed, of which that share is an average
_MEMORY: Final = 16.0  # accepted connections from the average that are not forgotten
_MOST: Final = 8  # connections at once
_FIRST_SECONDS: Final = 0.001  # the shortest time that timers of all loops know
_COMING_SECONDS: Final = 0.016  # added to it, times that share
_LONGEST_SECONDS: Final = 0.01
_PATIENCE_SECONDS: Final = 0.1  # arbitrary: a busy machine may give a process no time for so long


class Load(NamedTuple):
    """What a worker has to do.

    Attributes:
        is_used: somebody has, or had, the place.
        is_accepting: connections that wait may come to it.
        is_full: a pool has no free thread.
        pid: its process.
        stamp: changes whenever it writes.
        connections: that are open.
        calls: of consumers that run or wait.
        accepted: connections so far, but never far from the average.
    """

    is_used: bool
    is_accepting: bool
    is_full: bool
    pid: int
    stamp: int
    connections: int
    calls: int
    accepted: float


class Decision(NamedTuple):
    """Whose turn it is.

    Attributes:
        most: how many connections the worker may take now; 0 to leave them to siblings.
        wanted: those that should take them then.
    """

    most: int
    wanted: list[Load]


def decide(own: Load, others: list[Load], was_over: bool, slack: float = _SLACK) -> Decision:
    """Decide who takes the next connections.

    Args:
        others: siblings that accept.
        was_over: the worker has left the last one to siblings. It goes on until it has no more than the average: turns
            of a few connections each cost less than a look at all for every single one.
        slack: how much more than a sibling it may have.
    """
    free = [other for other in others if not other.is_full]
    if own.is_full:
        if free:
            return Decision(0, free)
    else:
        others = free
    if not others:
        return Decision(_MOST, [])
    count = len(others) + 1
    has = own.connections + _CALL_WEIGHT * own.calls
    score = has + _ACCEPTED_WEIGHT * own.accepted
    scores = [o.connections + _CALL_WEIGHT * o.calls + _ACCEPTED_WEIGHT * o.accepted for o in others]
    if was_over:
        room = (score + sum(scores)) / count - score
    else:
        has += sum([other.connections + _CALL_WEIGHT * other.calls for other in others])
        room = min(scores) + slack + _SLACK_SHARE * has / count - score
    if room >= 0.0:
        return Decision(min(_MOST, 1 + int(room / (1 + _ACCEPTED_WEIGHT))), [])
    return Decision(0, [other for other, theirs in zip(others, scores, strict=True) if theirs < score])


class Scales:
    """The memory: a place for each worker of a master, numbered from 1 on."""

    def __init__(self, places: int) -> None:
        self._memory = mmap.mmap(-1, (places + 2) * _PLACE_BYTES)  # the last one is never in use
        self._in_use = 0

    def clear(self, place: int) -> None:
        """Nothing is known of the worker that gets this place. Runs on: the master, before the fork."""
        self.write(place, Load(True, False, False, 0, 0, 0, 0, 0.0))

    def write(self, place: int, load: Load) -> None:
        """Tell what a worker has. Runs on: its loop."""
        at = place * _PLACE_BYTES
        # Not pack_into, which writes zeros first.
        self._memory[at : at + _LOAD.size] = _LOAD.pack(*load)

    def read_all(self) -> Iterable[Load]:
        """Return what was told at all places, in their order."""
        while self._memory[(self._in_use + 1) * _PLACE_BYTES]:  # places are given in their order
            self._in_use += 1
        data = self._memory[_PLACE_BYTES : (self._in_use + 1) * _PLACE_BYTES]
        return map(Load._make, _PLACES_IN_USE.iter_unpack(data))


class _Pool(Protocol):
    """What is asked of a pool of threads."""

    @property
    def has_free_thread(self) -> bool:
        """Whether a job would find a thread at once."""

    @property
    def working(self) -> int:
        """How many threads are not parked."""

    @property
    def queued(self) -> int:
        """How many jobs wait for a thread."""


class Balance:
    """What one worker does for it; the `Turns` of its acceptor. Loop thread only.

    Args:
        place: the worker's.
        tasks: returns how many calls run on the loop.
        exists: whether there is a process with this id.
    """

    def __init__(
        self,
        scales: Scales,
        place: int,
        pid: int,
        pools: Sequence[_Pool],
        tasks: Callable[[], int],
        exists: Callable[[int], bool] | None = None,
    ) -> None:
        self._scales = scales
        self._place = place
        self._pid = pid
        self._pools = pools
        self._tasks = tasks
        self._exists = exists or _exists
        self._own = Load(True, False, False, pid, 0, 0, 0, 0.0)
        self._coming = 0.0  # share of connections that are closed in those that are opened or closed
        self._credit = 0  # connections that may be taken without another look
        self._seconds = 0.0  # for which the last one was left to siblings; 0.0 if it was taken
        self._waited = 0.0  # since one of those that are waited for has written
        self._stamps: dict[int, int] = {}  # theirs: process -> stamp
        self._absent: dict[int, int] = {}  # process -> its stamp

    def tell(self, connections: int, is_accepting: bool) -> None:
        """Write what the worker has. One connection more than before was accepted."""
        own = self._own
        accepted = own.accepted
        if connections > own.connections:
            accepted += connections - own.connections
            self._credit -= connections - own.connections
            self._coming -= self._coming / _COMING_TURNS
        elif connections < own.connections:
            self._coming += (1.0 - self._coming) / _COMING_TURNS
        if is_accepting and not own.is_accepting:
            others = self._others()
            accepted = sum([other.accepted for other in others]) / len(others) if others else accepted
        self._write(own.is_full, is_accepting, connections, own.calls, accepted)

    def take(self) -> tuple[int, float]:
        """Return how many connections to accept at once, or 0 and for how many seconds to leave them to siblings."""
        is_full = False
        for pool in self._pools:
            is_full = is_full or not pool.has_free_thread
        if self._credit > 0 and not is_full:
            return self._credit, 0.0
        calls = self._tasks() + sum([pool.working + pool.queued for pool in self._pools])
        own, others = self._own, self._others()
        self._write(is_full, True, own.connections, calls, _near_average(own.accepted, others))
        most, wanted = decide(self._own, others, self._seconds > 0, _SLACK + _COMING_SLACK * self._coming)
        if most or not self._shows_life(wanted):
            self._seconds = self._waited = 0.0
            self._credit = max(1, most)
            return self._credit, 0.0
        shortest = _FIRST_SECONDS + _COMING_SECONDS * self._coming
        self._seconds = min(max(2 * self._seconds, shortest), _LONGEST_SECONDS)
        self._waited += self._seconds
        return 0, self._seconds

    def _shows_life(self, wanted: list[Load]) -> bool:
        """Whether one of those that are waited for may take a connection; if not, they are absent until they write.

        That any of them writes will do: one that is idle writes nothing while others are faster.
        """
        before, self._stamps = self._stamps, {other.pid: other.stamp for other in wanted}
        if any(before.get(pid) != stamp for pid, stamp in self._stamps.items()):
            self._waited = 0.0
        alive = {pid for pid in self._stamps if self._exists(pid)} if self._waited < _PATIENCE_SECONDS else ()
        self._absent.update((pid, stamp) for pid, stamp in self._stamps.items() if pid not in alive)
        return bool(alive)

    def _others(self) -> list[Load]:
        """Return the siblings that accept, without those that are absent."""
        others = [load for load in self._scales.read_all() if load.is_accepting and load.pid != self._pid]
        if self._absent:
            self._absent = {other.pid: other.stamp for other in others if self._absent.get(other.pid) == other.stamp}
            others = [other for other in others if other.pid not in self._absent]
        return others

    def _write(self, is_full: bool, is_accepting: bool, connections: int, calls: int, accepted: float) -> None:
        stamp = (self._own.stamp + 1) & _UINT
        self._own = Load(True, is_accepting, is_full, self._pid, stamp, connections, calls, accepted)
        self._scales.write(self._place, self._own)


def balance_for(entry: Any, cfg: Any, dispatcher: Any) -> Balance | None:
    """Return the balance of a worker; None if it has nobody to leave connections to.

    Args:
        entry: its place on the roll, or None.
        cfg: Gunicorn's settings. With `reuse_port` connections are the worker's own before anybody accepts them.
    """
    if entry is None or cfg.reuse_port:
        return None
    requests = dispatcher.running.requests
    return Balance(entry.roll.scales, entry.place, os.getpid(), dispatcher.pools, lambda: len(requests))


def _near_average(accepted: float, others: list[Load]) -> float:
    """Return what a worker has accepted, with what is far from the average forgotten.

    A worker that has started, or could accept nothing for a while, need not make up for it.
    """
    if not others:
        return accepted
    average = (accepted + sum([other.accepted for other in others])) / (len(others) + 1)
    return min(max(accepted, average - _MEMORY), average + _MEMORY)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
