"""How far a member of groups may be behind, and what is done with one that is further: pure numbers.

    close         the socket is closed with 1013; a request is given up
    drop-oldest   what has waited longest is dropped
    drop-newest   what has just come is dropped

What is dropped is counted, and told: `websocket.gap`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

__all__ = ["CLOSE", "DROP_NEWEST", "DROP_OLDEST", "POLICIES", "Backlog", "Bounds", "size_of"]

CLOSE: Final = "close"
DROP_OLDEST: Final = "drop-oldest"
DROP_NEWEST: Final = "drop-newest"
POLICIES: Final = (CLOSE, DROP_OLDEST, DROP_NEWEST)

_LEAST_BYTES: Final = 64  # what a message takes beside its content; arbitrary


class Bounds(NamedTuple):
    """What a member may be behind.

    Attributes:
        bytes, messages: of group messages that wait for one member.
        policy: what is done past that.
        expiry_seconds: how long one may wait.
    """

    bytes: int = 1024 * 1024
    messages: int = 1000
    policy: str = CLOSE
    expiry_seconds: float = 60.0


class Backlog:
    """The messages that wait for one member.

    Attributes:
        missed: how many were dropped since that was told last.
    """

    __slots__ = ("_bounds", "_counted", "_size", "_waiting", "missed")

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        # When it came, and its size; 0 for one that does not count.
        self._waiting: deque[tuple[float, int, Mapping[str, Any]]] = deque()
        self._size = 0
        self._counted = 0
        self.missed = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, content: Mapping[str, Any], now: float, counts: bool = True) -> bool:
        """Let a message wait; return False if the member is too far behind, and is to be closed.

        One message may be larger than the bound, if it is the only one.

        Args:
            counts: False for one that may wait beside as many as there may be.
        """
        bounds = self._bounds
        self.expire(now)
        size = size_of(content) if counts else 0
        waiting = self._waiting
        while self._counted and size and (self._counted >= bounds.messages or self._size + size > bounds.bytes):
            if bounds.policy == CLOSE:
                return False
            self.missed += 1
            if bounds.policy == DROP_NEWEST:
                return True
            self._uncount(waiting.popleft()[1])
        waiting.append((now, size, content))
        self._size += size
        self._counted += size > 0
        return True

    def take(self, now: float) -> Mapping[str, Any] | None:
        """Return the next message, or None."""
        self.expire(now)
        if not self._waiting:
            return None
        _, size, content = self._waiting.popleft()
        self._uncount(size)
        return content

    def expire(self, now: float) -> None:
        """Drop what has waited for too long."""
        waiting, longest = self._waiting, self._bounds.expiry_seconds
        while waiting and longest and now - waiting[0][0] > longest:
            self._uncount(waiting.popleft()[1])
            self.missed += 1

    def clear(self) -> None:
        """Drop all, because nobody is left to get it."""
        self._waiting.clear()
        self._size = self._counted = 0

    def _uncount(self, size: int) -> None:
        self._size -= size
        self._counted -= size > 0


def size_of(content: Mapping[str, Any]) -> int:
    """Return about how many bytes a message takes."""
    return _LEAST_BYTES + sum(len(value) for value in content.values() if isinstance(value, (str, bytes)))
