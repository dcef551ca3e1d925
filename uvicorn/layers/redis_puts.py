"""Messages on their way into the streams of channels: those for one channel in one command, while that waits to go out.

So that what a process sends stays in order when a channel is full: of the messages in a command Redis takes the first
ones, if there is no room for all. And it refuses those of later commands that were sent before we knew of that, though
a consumer may have made room in between. Loop thread only.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from uvicorn.layers.limits import ChannelLimits
from uvicorn.layers.redis_publisher import Command, Publisher
from uvicorn.layers.redis_scripts import PUT, Keys

__all__ = ["Puts"]

_MOST_REFUSED: Final = 1000  # channels; arbitrary


class Puts:
    """What puts messages into streams."""

    def __init__(self, publisher: Publisher, keys: Keys, limits: ChannelLimits, node: str) -> None:
        self._node = node
        self._publisher = publisher
        self._keys = keys
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._number = 0  # of the latest command
        self._refused: dict[str, int] = {}  # channel -> the last command of which we know that it was refused
        self._latest: dict[str, tuple[Command, list[asyncio.Future[bool]]]] = {}

    def put(self, channel: str, id: str, packed: bytes) -> asyncio.Future[bool]:
        """Put a message into a stream; return the future of whether there was room. Raises: ChannelLayerUnavailable."""
        future: asyncio.Future[bool] = self._loop.create_future()
        latest = self._latest.get(channel)
        if latest is not None and self._publisher.extend(latest[0], id, packed):
            latest[1].append(future)
            return future
        self._number += 1
        command = self._publisher.command(
            PUT,
            (self._keys.stream(channel), self._keys.refused(channel, self._node)),
            self._limits.capacity_of(channel),
            self._keys.consumers,
            self._refused.get(channel, 0),
            self._number,
            id,
            packed,
        )
        futures = [future]
        self._latest[channel] = command, futures
        command.future.add_done_callback(partial(self._answered, channel, futures, self._number))
        return future

    def _answered(
        self, channel: str, futures: list[asyncio.Future[bool]], number: int, answer: asyncio.Future[int]
    ) -> None:
        latest = self._latest.get(channel)
        if latest is not None and latest[1] is futures:
            del self._latest[channel]
        error = asyncio.CancelledError() if answer.cancelled() else answer.exception()
        if error is None and answer.result() < len(futures):
            self._refused.pop(channel, None)
            self._refused[channel] = number
            if len(self._refused) > _MOST_REFUSED:  # what is forgotten costs one more refusal
                del self._refused[next(iter(self._refused))]
        for at, future in enumerate(futures):
            if future.done():
                continue
            if error is None:
                future.set_result(at < answer.result())
            else:
                future.set_exception(error)
                future.exception()  # nobody may wait for it
