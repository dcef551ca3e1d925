"""Where the numbers of a watch come from: clocks, and what each thread has computed. Runs on: the watchdog's thread."""

from __future__ import annotations

import os
import threading
import time
from typing import Final, Protocol

from uvicorn.bridge.scheduling import Spent, open_meter, read_meter, read_spent

__all__ = ["Clocks", "SystemClocks", "ThreadTimes"]

_MOST_THREADS: Final = 100  # whose time is looked at once a second; arbitrary
_LITTLE: Final = 0.05  # of the time: so little computing is none
_PART: Final = 0.2  # of the time, that a thread must have computed to be named


class Clocks(Protocol):
    """Where the numbers come from."""

    def now(self) -> float:
        """Monotonic time, seconds."""

    def process_cpu(self) -> float:
        """CPU time of the process, seconds."""

    def spent(self, native_id: int) -> Spent | None:
        """What a thread has had of the machine."""

    def own_id(self) -> int:
        """The system's number of the calling thread."""

    def native_ids(self) -> dict[int, int]:
        """Return the threads of Python: identifier -> the system's number."""

    def keep(self, native_id: int) -> None:
        """Be ready to tell again and again what this thread has had, until `close`."""

    def close(self) -> None:
        """Give back what `keep` has taken."""


class SystemClocks:
    """Those of the system."""

    now = staticmethod(time.monotonic)
    process_cpu = staticmethod(time.process_time)
    own_id = staticmethod(threading.get_native_id)

    def __init__(self) -> None:
        self._meters: dict[int, int] = {}

    def spent(self, native_id: int) -> Spent | None:
        """What a thread has had of the machine."""
        meter = self._meters.get(native_id)
        return read_spent(native_id) if meter is None else read_meter(meter)

    def keep(self, native_id: int) -> None:
        """Keep the file of this thread open: to find it takes most of the time of a look."""
        meter = open_meter(native_id) if native_id not in self._meters else -1
        if meter >= 0:
            self._meters[native_id] = meter

    def close(self) -> None:
        """Close the files."""
        while self._meters:
            os.close(self._meters.popitem()[1])

    def native_ids(self) -> dict[int, int]:
        """Return the threads of Python: identifier -> the system's number."""
        return {
            thread.ident: thread.native_id
            for thread in threading.enumerate()
            if thread.ident is not None and thread.native_id is not None
        }


class ThreadTimes:
    """What each thread has computed since the last note, at most a second ago."""

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks
        self._noted: dict[int, Spent] = {}
        self._noted_at = -1.0

    def note(self, now: float) -> None:
        """Take the times, if the last note is a second old. With too many threads none is taken."""
        if now - self._noted_at < 1.0:
            return
        self._noted_at = now
        ids = self._clocks.native_ids()
        if len(ids) > _MOST_THREADS:
            ids = {}
        self._noted = {ident: spent for ident, number in ids.items() if (spent := self._clocks.spent(number))}

    def longest_ready(self, seconds: float, now: float) -> float:
        """Return how long at least, of the last `seconds`, one thread was ready and no processor was free."""
        before = max(0.0, now - seconds - self._noted_at)  # from the note to that time; it may all be in the growth
        ids, clocks = self._clocks.native_ids(), self._clocks
        grown = [
            spent.ready_seconds - self._noted[ident].ready_seconds
            for ident, number in ids.items()
            if ident in self._noted and (spent := clocks.spent(number)) is not None
        ]
        return max(grown, default=0.0) - before

    def busiest(self, seconds: float) -> tuple[int, float]:
        """Return the thread that has computed most, or 0, and its share of what all have; 0.0 if none has computed.

        Args:
            seconds: of which it must have computed a part, to be named.
        """
        ids, clocks = self._clocks.native_ids(), self._clocks
        computed = {
            ident: spent.cpu_seconds - (self._noted[ident].cpu_seconds if ident in self._noted else 0.0)
            for ident, number in ids.items()
            if self._noted and (spent := clocks.spent(number)) is not None
        }
        busiest = max(computed, key=lambda ident: computed[ident], default=0)
        total = sum(computed.values())
        if total < seconds * _LITTLE:
            return 0, 0.0
        return busiest if computed[busiest] >= seconds * _PART else 0, computed[busiest] / total
