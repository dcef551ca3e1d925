"""Calls of a layer of Channels 4: bounded in time and number, and in order. Loop thread only.

The layer may take what it is asked for at the same time in any order. So what is for one group, process or channel, a
line, is done one after the other. While it takes nothing, threads wait, but coroutines need not: so what waits is
bounded by number and bytes, and what is sent then is refused at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from uvicorn.errors import ChannelFull, ChannelLayerUnavailable
from uvicorn.layers.ending import within
from uvicorn.layers.handover import Handover

__all__ = ["SECONDS", "Calls"]

SECONDS: Final = 5.0  # that the layer may take
_MOST_CALLS: Final = 10_000  # that are under way; arbitrary, as is the next one
_MOST_BYTES: Final = 256 * 1024 * 1024


class Calls:
    """What calls a layer.

    Args:
        name: how the layer is called in errors.
        on_lost: called with the error of a call that nobody awaits.
    """

    def __init__(self, name: str, on_lost: Callable[[BaseException], object]) -> None:
        self._name = name
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._last: dict[str, asyncio.Task[None]] = {}  # line -> the last call that is under way
        self._alone: set[asyncio.Task[None]] = set()  # that are in no line
        self._waiting: dict[str, tuple[asyncio.Task[None], Handover]] = {}  # line -> what `do_once` waits with
        self._count = 0  # of messages under way
        self._bytes = 0

    def send(self, line: str, call: Callable[[], Awaitable[Any]], size: int) -> Handover:
        """Make a call that sends a message of so many bytes, as `do`.

        Raises: ChannelLayerUnavailable at once if too many are under way; when awaited, as `do`.
        """
        if self._count >= _MOST_CALLS or (self._count and self._bytes + size > _MOST_BYTES):
            raise ChannelLayerUnavailable(f"{self._count} messages wait for {self._name} already")
        self._count += 1
        self._bytes += size
        return self.do(line, call, size)

    def do(self, line: str | None, call: Callable[[], Awaitable[Any]], size: int | None = None) -> Handover:
        """Make a call when those before it in its line are done; None for one that is in no line.

        Args:
            size: of a message that `send` has counted.

        Raises: when awaited, ChannelFull, ChannelLayerUnavailable; TypeError, ValueError for what the layer does not
            take.
        """
        before = None if line is None else self._last.get(line)
        task = self._loop.create_task(self._done(before, call))
        if size is not None:
            task.add_done_callback(partial(self._is_sent, size))
        if line is None:
            self._alone.add(task)
            task.add_done_callback(self._alone.discard)
        else:
            self._last[line] = task
            task.add_done_callback(partial(self._is_done, line))
        return Handover(task, self._on_lost)

    def do_once(self, line: str, call: Callable[[], Awaitable[Any]]) -> Handover:
        """As `do`; one that waits in the line stands for those that follow, and does what is wanted when it begins.

        So who comes and goes while the layer takes nothing does not leave a call each.
        """
        waiting = self._waiting.get(line)
        if waiting is not None and self._last.get(line) is waiting[0]:
            return waiting[1]

        async def once() -> None:
            self._waiting.pop(line, None)
            await call()

        handover = self.do(line, once)
        self._waiting[line] = self._last[line], handover
        return handover

    async def stop(self, seconds: float) -> None:
        """Wait until what is under way is done, for so many seconds at most."""
        under_way = (*self._last.values(), *self._alone)
        if under_way:
            await asyncio.wait(under_way, timeout=seconds)

    def _is_sent(self, size: int, _: asyncio.Task[None]) -> None:
        self._count -= 1
        self._bytes -= size

    def _is_done(self, line: str, task: asyncio.Task[None]) -> None:
        if self._last.get(line) is task:
            del self._last[line]
            self._waiting.pop(line, None)

    async def _done(self, before: asyncio.Task[None] | None, call: Callable[[], Awaitable[Any]]) -> None:
        is_begun = False

        async def in_turn() -> None:
            nonlocal is_begun
            if before is not None and not before.done():
                await asyncio.wait([before])
            is_begun = True
            await call()

        try:
            await within(SECONDS, in_turn())
        except (TypeError, ValueError, AssertionError):
            raise
        except Exception as error:
            if type(error).__name__ == "ChannelFull":
                raise ChannelFull("the channel is full: no consumer takes its messages") from None
            text = str(error) or type(error).__name__
            raise ChannelLayerUnavailable(f"{self._name} cannot be reached: {text}", was_sent=is_begun) from error
