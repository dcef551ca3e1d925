"""Whose turn it is to send among the streams of one connection: pure state. Loop thread only.

The most urgent ones come first (RFC 9218 section 10). Those of one urgency take turns, one piece each; of those that
want to come one after the other (not `is_shared`) only the first has a turn among them. A stream whose window is
closed is not here at all, so it holds up nobody.
"""

from __future__ import annotations

from uvicorn.wire.priority import Priority

__all__ = ["Schedule"]


class Schedule:
    """The streams of a connection that have something to send, and may."""

    __slots__ = ("_rings",)

    def __init__(self) -> None:
        self._rings: dict[int, dict[int, bool]] = {}  # urgency -> stream -> is_shared, in the order of their turns

    def __bool__(self) -> bool:
        return bool(self._rings)

    def __contains__(self, stream_id: int) -> bool:
        return any(stream_id in ring for ring in self._rings.values())

    def has_one(self) -> bool:
        """Whether there is one, and no other."""
        if len(self._rings) == 1:
            for ring in self._rings.values():
                return len(ring) == 1
        return False

    def add(self, stream_id: int, priority: Priority) -> None:
        """Give a stream turns, behind those that have some; nothing changes for one that has."""
        self._rings.setdefault(priority.urgency, {}).setdefault(stream_id, priority.is_shared)

    def discard(self, stream_id: int) -> None:
        """Give a stream no turn any more."""
        for urgency, ring in tuple(self._rings.items()):
            if ring.pop(stream_id, None) is not None and not ring:
                del self._rings[urgency]

    def next(self) -> int:
        """Return the stream whose turn it is, and put it at the end of its like; 0 if there is none."""
        if not self._rings:
            return 0
        ring = self._rings[min(self._rings)]
        stream_id, is_shared = next(iter(ring.items()))
        del ring[stream_id]
        ring[stream_id] = is_shared
        if is_shared:
            return stream_id
        first = stream_id
        for found, shares in ring.items():
            if not shares and found < first:
                first = found
        return first
