"""Which worker of a master takes the next connection: numbers of each, in memory that they share.

Theory of operation
-------------------
All workers watch the same sockets, and whichever loop wakes first takes what waits. Each writes how much it has to do,
and looks at its siblings before it accepts. One that has more than the least of them does not watch its sockets for
some milliseconds, and looks again then, until nobody has less: to stay away for a while costs less than to look at
every connection. A worker whose pool has no free thread leaves connections to those that have one.

These numbers only say who should be faster; each worker writes its own, one machine word at a time. Whatever they say,
the acceptor leaves a connection to others for no longer than its own bound (`listener.py`). Siblings that have taken
nothing while they were waited for are not counted until they take something: their loop is blocked, or they were
stopped or killed. A worker that starts, leaves, or has all its connections open says that it accepts nothing.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from typing import Any, Final

from uvicorn.bridge.pool import ConsumerPool

__all__ = ["Balance", "Scales", "balance_for"]

# What counts how much. All of it is arbitrary, as are the times. A load of 0 says that a place was never given.
_ACCEPTS_NOTHING: Final = -1
_NO_LOAD: Final = 1
_CONNECTION: Final = 6
_CALL: Final = 3  # that runs, or waits for a thread
_TAKEN: Final = 1  # stays when the connection has gone: or one worker would take all that come and go
_FULL: Final = 1 << 32  # no thread is free
_SLACK: Final = 12  # that a worker may have more than another one: one connection more, or 12 that have gone
_SLACK_SHARE: Final = 8  # and this part of its own connections
_AWAY: Final = 2 * _SLACK  # added while it is away: siblings wait for it only if they have far more
_MEMORY: Final = 16  # by how much it may lag behind others in what it has taken; the rest is forgotten

_FIRST_SECONDS: Final = 0.002  # away; then twice as long each time
_LONGEST_SECONDS: Final = 0.008
_PATIENCE_SECONDS: Final = 0.04  # with siblings that take nothing; a busy machine gives a process no time for so long


class Scales:
    """The memory: a place for each worker of a master, numbered from 1 on.

    Attributes:
        loads: place -> what the worker has to do, `_ACCEPTS_NOTHING`, or 0.
        taken: place -> how many connections it has accepted, as far as that still matters.
    """

    def __init__(self, places: int) -> None:
        numbers = memoryview(mmap.mmap(-1, 2 * 8 * (places + 2))).cast("q")
        self.loads: Final = numbers[: places + 2]  # the last one is never given
        self.taken: Final = numbers[places + 2 :]
        self._end = 1

    def clear(self, place: int) -> None:
        """Nothing is known of the worker that gets this place. Runs on: the master, before the fork."""
        self.loads[place] = _ACCEPTS_NOTHING
        self.taken[place] = 0

    def read_all(self) -> list[tuple[int, int, int]]:
        """Return (place, load, taken) of all workers."""
        while self.loads[self._end]:  # places are given in their order
            self._end += 1
        end = self._end
        return list(zip(range(1, end), self.loads[1:end].tolist(), self.taken[1:end].tolist(), strict=True))


class Balance:
    """What one worker does for it; the `Turns` of its acceptor. Loop thread only.

    Args:
        place: the worker's.
        tasks: returns how many calls run on the loop.
    """

    most = 4  # connections at once

    def __init__(self, scales: Scales, place: int, pools: Sequence[ConsumerPool], tasks: Callable[[], int]) -> None:
        self._scales = scales
        self._place = place
        self._pools = pools
        self._tasks = tasks
        self._connections = 0
        self._taken = 0
        self._calls = _NO_LOAD  # the load without connections
        self._enough = 0  # up to this load, with what it has taken, it accepts without a look at its siblings
        self._seconds = 0.0  # for which the last connection was left to siblings; 0.0 if it was taken
        self._wanted: dict[int, int] = {}  # those to which it was left: place -> taken
        self._absent: dict[int, int] = {}  # those that are not counted: the same

    def tell(self, connections: int, is_accepting: bool) -> None:
        """Write what the worker has. One connection more than before was accepted."""
        if connections > self._connections:
            self._taken += _TAKEN
            self._scales.taken[self._place] = self._taken
        load = self._calls + _CONNECTION * connections
        if load + self._taken + _SLACK < self._enough:
            self._enough = 0  # many have closed: perhaps those of siblings, too
        self._connections = connections
        self._scales.loads[self._place] = load if is_accepting else _ACCEPTS_NOTHING

    def leave_for(self, waited: float) -> float:
        """Return for how many seconds to leave what waits to siblings; 0.0 to accept it.

        Args:
            waited: for how many seconds it was left to them already.
        """
        calls, is_full = self._tasks(), False
        for pool in self._pools:
            calls += pool.working + pool.queued
            is_full = is_full or not pool.has_free_thread
        self._calls = _NO_LOAD + _CALL * calls + _FULL * is_full
        load = self._scales.loads[self._place] = self._calls + _CONNECTION * self._connections
        if load + self._taken <= self._enough:
            return 0.0
        wanted = self._better(load)
        if wanted and wanted == self._wanted and waited >= _PATIENCE_SECONDS:
            self._absent.update(wanted)
            wanted = {}
        self._wanted = wanted
        if not wanted:
            self._seconds = 0.0
            return 0.0
        if is_full:
            self._pass_by()
        self._seconds = min(max(2 * self._seconds, _FIRST_SECONDS), _LONGEST_SECONDS)
        self._enough = 0
        self._scales.loads[self._place] = load + _AWAY
        return self._seconds

    def _pass_by(self) -> None:
        """Count it where no thread is free: threads that are stuck for good must not go unnoticed (`stuck.py`)."""
        for pool in self._pools:
            if not pool.has_free_thread:
                pool.passed_by += 1

    def _better(self, load: int) -> dict[int, int]:
        """Return those that should take the next connection, if it should not be this worker: place -> taken."""
        is_full, absent = load >= _FULL, self._absent
        others = [
            (place, other + taken, taken)
            for place, other, taken in self._scales.read_all()
            if other > 0 and (is_full or other < _FULL) and place != self._place and absent.get(place) != taken
        ]
        if not others:
            self._enough = load + self._taken + _SLACK
            return {}
        # One that has started, or could accept nothing for a while, need not make up for all that others have taken.
        least = max([taken for _, _, taken in others]) - _MEMORY - _CONNECTION * self._connections
        if self._taken < least:
            self._taken = self._scales.taken[self._place] = least
        own, enough = load + self._taken, min([score for _, score, _ in others])
        if not self._seconds:
            enough += _SLACK + _CONNECTION * self._connections // _SLACK_SHARE
        if own > enough:
            return {place: taken for place, score, taken in others if score < own}
        self._enough = 0 if is_full else enough
        return {}


def balance_for(entry: Any, cfg: Any, dispatcher: Any) -> Balance | None:
    """Return the balance of a worker; None if it has nobody to leave connections to.

    Args:
        entry: its place on the roll, or None.
        cfg: Gunicorn's settings. With `reuse_port` connections are the worker's own before anybody accepts them.
    """
    if entry is None or cfg.reuse_port:
        return None
    return Balance(entry.roll.scales, entry.place, dispatcher.pools, dispatcher.running.requests.__len__)
