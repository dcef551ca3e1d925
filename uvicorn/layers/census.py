"""Who is in a group, asked of all processes that have members of it. Loop thread only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from uvicorn.layers.ending import within

__all__ = ["Census"]


class Census:
    """The questions of this process that are under way.

    Args:
        seconds: that the answers may take; those that have not come then are left out.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds: Final = seconds
        self._found: dict[int, list[list[str]]] = {}  # number of the question -> the answers so far
        self._changed = asyncio.Event()
        self._number = 0

    async def take(self, ask: Callable[[int], Awaitable[int]]) -> list[str]:
        """Ask; return the names of all members.

        Args:
            ask: called with the question's number; what it returns gives, awaited, how many processes it has reached.

        Raises: what `ask` raises.
        """
        self._number += 1
        number = self._number
        found = self._found[number] = []
        try:
            count = await ask(number)
            with suppress(asyncio.TimeoutError):
                await within(self._seconds, self._answers(found, count))
        finally:
            del self._found[number]
        return [name for names in found for name in names]

    def answered(self, number: int, names: list[str]) -> None:
        """A process has answered; perhaps too late."""
        if number in self._found:
            self._found[number].append(names)
            self._changed.set()

    async def _answers(self, found: list[list[str]], count: int) -> None:
        while len(found) < count:
            self._changed.clear()
            await self._changed.wait()
