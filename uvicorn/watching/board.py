"""Numbers of all workers of one master, in memory that they share.

Theory of operation
-------------------
The master makes the board before it forks the first worker, and gives each worker a *place* on it. A worker writes its
figures there once a second and at its end; anybody who has the memory may read all places.

*No number goes back.* A place outlives its worker. The next worker that is given it begins with the counters that it
finds there, and adds its own. So the sum over all places never falls, whether a worker has stopped in order or was
killed; what a killed one counted since it last wrote, a second at most, is lost.

*No lock.* Each place has two halves. A worker writes the half that is not told, and then tells it, by one byte: whoever
is killed while it writes leaves the other half as it was. A reader checks a sum, and reads again if the half has
changed under its hands.
"""

from __future__ import annotations

import json
import mmap
import struct
import weakref
import zlib
from typing import Any, Final

from uvicorn.watching.families import Figures, as_rows, from_rows, lasting
from uvicorn.watching.processes import is_there

__all__ = ["Board", "Sheet"]

_PLACES: Final = 64  # workers of one master, those that leave included; arbitrary
_HALF_BYTES: Final = 131072  # arbitrary: some 400 consumers
_HEADER: Final = struct.Struct("=II")  # length, checksum
_FLAG_BYTES: Final = 16
_PLACE_BYTES: Final = _FLAG_BYTES + 2 * _HALF_BYTES
_TRIES: Final = 5
_HISTOGRAMS: Final = (
    "call_wait_seconds", "call_run_seconds", "consumer_errors", "consumer_wait_seconds", "consumer_run_seconds",
)  # fmt: skip


class Sheet:
    """What a worker tells of itself.

    Attributes:
        pid: of the worker.
        facts: whatever else others want to know, as JSON allows.
        figures: its own, and those of whoever had its place before.
    """

    def __init__(self, pid: int, facts: dict[str, Any], figures: Figures | None = None) -> None:
        self.pid = pid
        self.facts = facts
        self.figures: Figures = figures or {}

    @property
    def is_alive(self) -> bool:
        """Whether the worker is there."""
        return bool(self.pid) and is_there(self.pid)


class Board:
    """The memory, and who has which place."""

    def __init__(self, places: int = _PLACES) -> None:
        self._memory = mmap.mmap(-1, places * _PLACE_BYTES)
        self._owners: list[weakref.ref[Any] | None] = [None] * places

    # ---- the master ----

    def give(self, owner: object) -> int | None:
        """Give a place to a worker, for as long as the master holds its object; None if all are taken."""
        for place, known in enumerate(self._owners):
            if known is None or known() is None:
                self._owners[place] = weakref.ref(owner)
                return place
        return None

    # ---- a worker ----

    def write(self, place: int, sheet: Sheet) -> None:
        """Tell what a worker has counted; if it is too much, the consumers with the fewest calls are left out."""
        data = _encode(sheet)
        while len(data) > _HALF_BYTES - _HEADER.size and _shorten(sheet.figures):
            data = _encode(sheet)
        start = place * _PLACE_BYTES
        half = 1 - self._memory[start] % 2
        at = start + _FLAG_BYTES + half * _HALF_BYTES
        self._memory[at : at + _HEADER.size + len(data)] = _HEADER.pack(len(data), zlib.crc32(data)) + data
        self._memory[start] = half

    # ---- anybody ----

    def read(self, place: int) -> Sheet | None:
        """Return what was told last at a place; None if nothing was."""
        start = place * _PLACE_BYTES
        for _ in range(_TRIES):
            at = start + _FLAG_BYTES + self._memory[start] % 2 * _HALF_BYTES
            length, checksum = _HEADER.unpack(self._memory[at : at + _HEADER.size])
            if not length:
                return None
            if length <= _HALF_BYTES - _HEADER.size:
                data = self._memory[at + _HEADER.size : at + _HEADER.size + length]
                if zlib.crc32(data) == checksum:
                    return _decode(data)
        return None

    def read_all(self) -> list[Sheet]:
        """Return what was told at all places; of workers that are gone, what lasts of them."""
        sheets = [sheet for place in range(len(self._owners)) if (sheet := self.read(place)) is not None]
        for sheet in sheets:
            if not sheet.is_alive:
                sheet.pid, sheet.facts, sheet.figures = 0, {}, lasting(sheet.figures)
        return sheets


def _encode(sheet: Sheet) -> bytes:
    return json.dumps([sheet.pid, sheet.facts, as_rows(sheet.figures)], separators=(",", ":")).encode()


def _decode(data: bytes) -> Sheet:
    pid, facts, rows = json.loads(data)
    return Sheet(pid, facts, from_rows(rows))


def _shorten(figures: Figures) -> bool:
    """Leave out half of the largest family of histograms, the smallest first; return whether there was any."""
    name = max(_HISTOGRAMS, key=lambda name: len(figures.get(name, ())))
    values = figures.get(name)
    if not values:
        return False
    order = sorted(values, key=lambda labels: sum(values[labels][1:]) if isinstance(values[labels], list) else 0)
    for labels in order[: len(order) // 2 + 1]:
        del values[labels]
    return True
