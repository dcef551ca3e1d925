"""The latest messages of a history, as many as fit: by number and by bytes. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final, Protocol, TypeVar

from uvicorn.layers.history import History

__all__ = ["Shelf"]


class _Sized(Protocol):
    """What has a size."""

    @property
    def size(self) -> int:
        """Bytes, encoded."""


_T = TypeVar("_T", bound=_Sized)


class Shelf(deque[_T]):
    """Messages in order; past the bounds of a history the oldest ones go. The latest one stays, however large it is."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self._most: Final = history.messages
        self._most_bytes: Final = history.bytes
        self._bytes = 0

    def put(self, message: _T) -> None:
        """Add one message behind the others."""
        self.append(message)
        self._bytes += message.size
        while len(self) > 1 and (len(self) > self._most or self._bytes > self._most_bytes):
            self.drop()

    def drop(self) -> None:
        """Take the oldest one away."""
        self._bytes -= self.popleft().size

    def empty(self) -> Iterator[_T]:
        """Take all away; return them."""
        found = tuple(self)
        self.clear()
        self._bytes = 0
        return iter(found)
