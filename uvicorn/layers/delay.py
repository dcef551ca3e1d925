"""Messages that are to be delivered later, kept by this process. Loop thread only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from itertools import count
from typing import Final

from uvicorn.errors import ChannelFull

__all__ = ["Delays"]

_MOST: Final = 10_000  # messages; arbitrary
_AGAIN_SECONDS: Final = 1.0  # until one that could not be delivered is tried again


class Delays:
    """Messages and their time.

    Args:
        deliver: called with a channel and the message when its time has come; it returns False to be called again.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, deliver: Callable[[str, bytes], bool]) -> None:
        self._loop = loop
        self._deliver = deliver
        self._heap: list[tuple[float, int, str, bytes]] = []
        self._numbers = count()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, seconds: float, channel: str, content: bytes) -> None:
        """Keep a message for so many seconds.

        Raises: ChannelFull if too many are kept.
        """
        if len(self._heap) >= _MOST:
            raise ChannelFull(f"{_MOST} delayed messages wait already")
        heappush(self._heap, (self._loop.time() + seconds, next(self._numbers), channel, content))
        self._set_timer()

    def drain(self) -> Iterator[tuple[float, str, bytes]]:
        """Take all: seconds that are left, channel and message."""
        if self._timer is not None:
            self._timer.cancel()
        now = self._loop.time()
        while self._heap:
            due, _, channel, content = heappop(self._heap)
            yield max(0.001, due - now), channel, content

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap:
            self._timer = self._loop.call_at(self._heap[0][0], self._look)

    def _look(self) -> None:
        now = self._loop.time()
        try:
            while self._heap and self._heap[0][0] <= now:
                _, number, channel, content = heappop(self._heap)
                if not self._deliver(channel, content):
                    heappush(self._heap, (now + _AGAIN_SECONDS, number, channel, content))
        finally:
            self._set_timer()  # one that cannot be delivered holds up no other
