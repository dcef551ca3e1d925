"""The roll: how far each worker of one master has come, in memory that they share.

Theory of operation
-------------------
The master makes the roll before it forks the first worker, and enters each worker before it forks it: so a worker that
is told to leave sees one that was made in its place, even if that has not done anything yet. From then on each worker
writes its own entry, and the master what it knows itself. Anybody who has the memory may read all of it.

No lock: each number has one writer at a time, but for that of failures, which may be one too few. What belongs to a
state is written before the state, which is one byte.
"""

from __future__ import annotations

import mmap
import struct
import time
import weakref
from typing import Final, NamedTuple

from uvicorn.command.balance import Scales
from uvicorn.watching.processes import is_there

__all__ = ["FAILED", "LEAVING", "READY", "STARTING", "STAYING", "Entry", "Roll", "Standing"]

STARTING: Final = 1
READY: Final = 2  # it accepts
STAYING: Final = 3  # it was told to leave, and accepts until the one in its place is ready
LEAVING: Final = 4
FAILED: Final = 5  # it could not start

_PLACES: Final = 1024  # workers of one master, those that leave included; arbitrary: untouched pages cost nothing
_PLACE_BYTES: Final = 256
_NUMBERS: Final = struct.Struct("=IId")  # process id, the worker's number, when it was made
_AT_TOLD: Final = 1
_AT_NUMBERS: Final = 4
_AT_REASON: Final = _AT_NUMBERS + _NUMBERS.size
_REASON_BYTES: Final = _PLACE_BYTES - _AT_REASON
_FAILURES: Final = struct.Struct("=Id")  # tries in a row that failed, and when the last one was
_AT_FAILURES: Final = 4
_LONGEST_PAUSE: Final = 60.0  # between two tries to start a worker; arbitrary


class Standing(NamedTuple):
    """What the roll says of one worker.

    Attributes:
        pid: 0 before the fork.
        number: workers get theirs in the order in which they are made.
        reason: why it could not start, in one line.
        made_at: time.monotonic() of that.
    """

    place: int
    state: int
    pid: int
    number: int
    reason: str = ""
    made_at: float = 0.0

    @property
    def is_there(self) -> bool:
        """Whether there is such a process; one that has not been forked yet counts."""
        return not self.pid or is_there(self.pid)


class Roll:
    """The memory, and who has which place. Times are those of time.monotonic()."""

    def __init__(self, places: int = _PLACES) -> None:
        self._memory = mmap.mmap(-1, (places + 1) * _PLACE_BYTES)  # the first place is the master's own
        self._owners: list[weakref.ref[object] | None] = [None] * places
        self.scales: Final = Scales(places)  # what each has to do, at the same places

    # ---- the master ----

    def enter(self, owner: object, number: int) -> Entry | None:
        """Enter a worker, for as long as the master holds its object; None if all places are taken."""
        for place, known in enumerate(self._owners, 1):
            if known is None or known() is None:
                self._owners[place - 1] = weakref.ref(owner)
                self.scales.clear(place)
                self._write(place, _AT_NUMBERS, _NUMBERS.pack(0, number, time.monotonic()))
                self._memory[place * _PLACE_BYTES + _AT_TOLD] = 0
                self._memory[place * _PLACE_BYTES] = STARTING
                return Entry(self, place)
        return None

    @property
    def is_stopping(self) -> bool:
        """Whether the master stops, and all workers with it."""
        return bool(self._memory[0])

    @is_stopping.setter
    def is_stopping(self, value: bool) -> None:
        self._memory[0] = value

    @property
    def is_orderly(self) -> bool:
        """Whether the master tells a worker to leave only when the one in its place is ready."""
        return bool(self._memory[1])

    @is_orderly.setter
    def is_orderly(self, value: bool) -> None:
        self._memory[1] = value

    # ---- anybody ----

    def note_failure(self) -> None:
        """A worker could not start. Those that were tried together, as by a reload, count as one."""
        failures, now = self._failures()[0], time.monotonic()
        if now >= self.retry_at:
            failures = min(failures + 1, 99)
        self._write(0, _AT_FAILURES, _FAILURES.pack(failures, now))

    def forget_failures(self) -> None:
        """A worker has started."""
        self._write(0, _AT_FAILURES, _FAILURES.pack(0, 0.0))

    @property
    def retry_at(self) -> float:
        """When another worker may be started after some that failed: the more of them, the later."""
        failures, last = self._failures()
        return last + min(2.0**failures, _LONGEST_PAUSE) if failures else 0.0

    def read(self, place: int) -> Standing:
        """Return what is said of the worker at a place."""
        start = place * _PLACE_BYTES
        state = self._memory[start]
        pid, number, made_at = _NUMBERS.unpack(self._memory[start + _AT_NUMBERS : start + _AT_REASON])
        reason = self._memory[start + _AT_REASON : start + _PLACE_BYTES] if state == FAILED else b""
        return Standing(place, state, pid, number, reason.partition(b"\0")[0].decode(errors="replace"), made_at)

    def read_all(self) -> list[Standing]:
        """Return what is said of all workers, of those that have gone, too, until another one has the place."""
        found = []
        for place in range(1, len(self._owners) + 1):
            standing = self.read(place)
            if not standing.state:  # places are taken in their order
                break
            found.append(standing)
        return found

    def has_server(self, but: int = 0) -> bool:
        """Whether a worker accepts, other than the one at a place."""
        return any(each.state in (READY, STAYING) and each.is_there for each in self.read_all() if each.place != but)

    def _failures(self) -> tuple[int, float]:
        failures, last = _FAILURES.unpack(self._memory[_AT_FAILURES : _AT_FAILURES + _FAILURES.size])
        return failures, last

    def _write(self, place: int, at: int, data: bytes) -> None:
        start = place * _PLACE_BYTES + at
        self._memory[start : start + len(data)] = data


class Entry:
    """One worker's place."""

    def __init__(self, roll: Roll, place: int) -> None:
        self.roll: Final = roll
        self.place: Final = place

    @property
    def standing(self) -> Standing:
        """What is said of this worker."""
        return self.roll.read(self.place)

    @property
    def state(self) -> int:
        """How far it has come."""
        return self.standing.state

    def set_pid(self, pid: int) -> None:
        """Tell the process. Runs on: the master after the fork, and the worker."""
        standing = self.standing
        self.roll._write(self.place, _AT_NUMBERS, _NUMBERS.pack(pid, standing.number, standing.made_at))

    def tell(self, state: int, reason: str = "") -> None:
        """Tell how far the worker has come. Runs on: the worker; signal handlers, too."""
        if state == FAILED:
            line = " ".join(reason.split()).encode()[: _REASON_BYTES - 1]
            self.roll._write(self.place, _AT_REASON, line + b"\0")
            if self.state != FAILED:
                self.roll.note_failure()
        elif self.state == STARTING and state == READY:
            self.roll.forget_failures()
        self.roll._memory[self.place * _PLACE_BYTES] = state

    def tell_to_leave(self) -> None:
        """Tell the worker to leave, before TERM does: its process may not be able to take that yet. In the master."""
        self.roll._memory[self.place * _PLACE_BYTES + _AT_TOLD] = 1

    @property
    def is_told(self) -> bool:
        """Whether the master has told the worker to leave, or all."""
        return self.roll.is_stopping or bool(self.roll._memory[self.place * _PLACE_BYTES + _AT_TOLD])

    def has_sibling_that_serves(self) -> bool:
        """Whether another worker accepts."""
        return self.roll.has_server(but=self.place)
