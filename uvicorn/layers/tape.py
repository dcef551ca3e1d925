"""What one process knows of the history of a group that it has members of. Pure.

Messages come from two sides: live ones, and those that the layer recalls. Both have offsets, and so each is passed on
once, and in order: what was passed on already is dropped; when one is missing, those that come wait until the layer has
been asked (`is_open` is False meanwhile). What the layer does not have any more is a gap.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from uvicorn.layers.history import History, Position, Recalled
from uvicorn.layers.shelf import Shelf

__all__ = ["Entry", "Found", "Tape"]


class Entry(NamedTuple):
    """One message.

    Attributes:
        sent: clock time, about.
        size: bytes, encoded.
        was_asked: it is held, and the layer has been asked since it came.
    """

    epoch: str
    offset: int
    sent: float
    content: Mapping[str, Any]
    size: int = 0
    was_asked: bool = False


class Found(NamedTuple):
    """What is to be passed on now.

    Attributes:
        entries: in order.
        missed: how many before them are lost; None if nobody knows.
    """

    entries: list[Entry]
    missed: int | None = 0


class Tape:
    """The latest messages of a group, in order and without a hole.

    Args:
        given: what this process has passed on before it knew of the history, if it was a message of one.

    Attributes:
        is_open: live messages are passed on; if not, the layer must be asked.
    """

    def __init__(self, history: History, given: Position | None = None) -> None:
        self.history: Final = history
        self._given = given
        self.is_open = False
        self._epoch = ""
        self._last = 0
        self._entries: Shelf[Entry] = Shelf(history)
        self._held: Shelf[Entry] = Shelf(history)  # what came while it was not open

    @property
    def position(self) -> Position | None:
        """What this process has passed on last; None before the layer has been asked once."""
        return Position(self._epoch, self._last) if self._epoch else None

    def take(self, epoch: str, offset: int, content: Mapping[str, Any], now: float, size: int = 0) -> Entry | None:
        """Take a live message; return it if it is to be passed on."""
        entry = Entry(epoch, offset, now, content, size)
        if self.is_open and epoch == self._epoch:
            if offset <= self._last:
                return None
            if offset == self._last + 1:
                return self._append(entry)
        self.is_open = False
        self._held.put(entry)
        return None

    def close(self) -> None:
        """Messages may be missing: the layer must be asked."""
        self.is_open = False

    def recalled(self, recalled: Recalled, now: float) -> Found:
        """The layer has been asked for what comes after `position`; if not `is_open` then, it must be asked again."""
        is_first = not self._epoch
        is_lost = not is_first and recalled.epoch != self._epoch
        if is_first or is_lost:
            self._epoch, self._last = recalled.epoch, 0
            self._entries.empty()
        kept = [each for each in recalled.kept if each.offset > self._last]
        missed = (kept[0].offset - 1 if kept else max(recalled.last, self._last)) - self._last
        if missed:
            self._entries.empty()  # who comes back to what lies before the gap is told of it, too
        found = [
            self._append(Entry(self._epoch, each.offset, now - each.age, each.content, each.size)) for each in kept
        ]
        self._last = max(self._last, recalled.last)
        if is_first:
            given = self._given_until()
            found, missed = [entry for entry in found if entry.offset > given], 0
        found += self._release()
        return Found(found, None if is_lost else missed)

    def _given_until(self) -> int:
        """Return the offset up to which those have all that were members before; what they have not is held."""
        if self._given is not None and self._given.epoch == self._epoch:
            return self._given.offset
        held = [entry.offset for entry in self._held if entry.epoch == self._epoch]
        return min([self._last, *(offset - 1 for offset in held)])

    def _release(self) -> list[Entry]:
        """Return what was held and is next; what is not waits until the layer has been asked once more."""
        self.is_open = True
        found = []
        for entry in self._held.empty():
            if entry.epoch == self._epoch and entry.offset <= self._last:
                continue
            if entry.epoch == self._epoch and entry.offset == self._last + 1 and self.is_open:
                found.append(self._append(entry))
            elif not entry.was_asked:
                self.is_open = False
                self._held.put(entry._replace(was_asked=True))
        return found

    def covers(self, seen: Position | None) -> bool:
        """Whether the layer need not be asked what somebody has missed who has seen this last.

        Who was a member in another process may have seen what is still on its way to this one.
        """
        return bool(self._epoch) and (seen is None or (seen.epoch == self._epoch and seen.offset <= self._last))

    def since(self, seen: Position | None, now: float) -> Found:
        """Return what somebody gets who has seen this last; nothing for None."""
        if seen is None:
            return Found([])
        self.expire(now)
        entries = list(self._entries)
        if seen.epoch != self._epoch or seen.offset > self._last:
            return Found(entries, None)
        first = entries[0].offset if entries else self._last + 1
        return Found([entry for entry in entries if entry.offset > seen.offset], max(0, first - 1 - seen.offset))

    def expire(self, now: float) -> None:
        """Forget what is too old."""
        before = now - self.history.seconds
        while self._entries and self._entries[0].sent < before:
            self._entries.drop()

    def _append(self, entry: Entry) -> Entry:
        self._entries.put(entry)
        self._last = entry.offset
        return entry
