"""Calls in threads of the pool that wait for each other, so that many at once do not fill it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from uvicorn.errors import ChannelFull

__all__ = ["Turns"]


class Turns:
    """What lets a few calls be made at once. Runs on: one loop.

    Where the pool has room for fewer than that, a call waits for one of the others to end. So nobody is refused because
    of calls of the same kind, and a pool that others have filled refuses at once.

    Args:
        most: calls that are made at once.
    """

    def __init__(self, most: int) -> None:
        self._most = asyncio.Semaphore(most)
        self._made = 0  # those that the pool has taken
        self._ended = asyncio.Event()

    async def call(self, in_thread: Callable[..., Awaitable[Any]], *call: Any) -> Any:
        """Return what `in_thread(*call)` returns, when it is its turn.

        Raises: ChannelFull if the pool has no room, and none of the others is under way; what the call raises.
        """
        async with self._most:
            while True:
                self._made += 1
                try:
                    result = await in_thread(*call)
                except ChannelFull:
                    self._made -= 1
                    if not self._made:
                        raise
                except BaseException:
                    self._end()
                    raise
                else:
                    self._end()
                    return result
                await self._ended.wait()

    def _end(self) -> None:
        """Let those go on that wait for the end of a call."""
        self._made -= 1
        self._ended.set()
        self._ended = asyncio.Event()
