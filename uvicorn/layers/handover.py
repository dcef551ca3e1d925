"""What `send` returns on the loop: it can be awaited until a message is handed over, and need not be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Final

__all__ = ["DONE", "Done", "Handover", "wait_for"]


class Done:
    """What is handed over already."""

    __slots__ = ()
    __await__ = staticmethod(partial(iter, ()))


DONE: Final = Done()


class Handover:
    """What is under way.

    Args:
        future: is done when it is handed over, or cannot be.
        on_lost: called with the error if nobody has awaited us: it is never silent.
    """

    __slots__ = ("_future", "_is_awaited", "_on_lost")

    def __init__(self, future: asyncio.Future[Any], on_lost: Callable[[BaseException], object]) -> None:
        self._future = future
        self._on_lost = on_lost
        self._is_awaited = False
        future.add_done_callback(self._settled)  # and so we live until then

    def __await__(self) -> Generator[Any, None, Any]:
        self._is_awaited = True
        if self._future.done():
            return self._future.result()
        # Who waits may be cancelled; what is under way goes on.
        return (yield from asyncio.shield(self._future).__await__())

    def __del__(self) -> None:
        if not self._is_awaited and self._future.done() and not self._future.cancelled():
            error = self._future.exception()
            if error is not None:
                self._on_lost(error)

    def _settled(self, future: asyncio.Future[Any]) -> None:
        if not future.cancelled():
            future.exception()  # asyncio need not tell of it: we do


async def wait_for(handover: Any) -> None:
    """Wait until something is handed over: what a task does that nobody awaits."""
    await handover
