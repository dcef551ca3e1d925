"""A channel layer in memory, as strict as the specification of Channels 4 lets a layer be.

Spec: "Channel Layer Specification", Channels 4.
"""

import asyncio
import itertools
import re

import msgpack

__all__ = ["SpecifiedLayer"]

_NAME = re.compile(r"[a-zA-Z0-9\-_.]+(![a-zA-Z0-9\-_.]*)?")
_GROUP = re.compile(r"[a-zA-Z0-9\-_.]+")
_LONGEST = 99  # characters of a name


class ChannelFull(Exception):
    """What a layer raises if a channel has its capacity."""


class SpecifiedLayer:
    """Channels and groups of one process.

    Args:
        capacity: messages that a channel holds.
    """

    extensions = ("groups",)
    ChannelFull = ChannelFull

    def __init__(self, capacity=100):
        self._capacity = capacity
        self._channels = {}
        self._groups = {}
        self._numbers = itertools.count(1)

    async def new_channel(self, prefix="specific"):
        return f"{prefix}.specified!{next(self._numbers)}"

    async def send(self, channel, message):
        _check(_NAME, channel)
        assert type(message) is dict, message
        assert type(message["type"]) is str, message
        queue = self._queue(channel)
        if queue.qsize() >= self._capacity:
            raise ChannelFull
        # Bytes, text, numbers, lists and dicts, and copies of them: what goes between processes.
        queue.put_nowait(msgpack.packb(message))

    async def receive(self, channel):
        _check(_NAME, channel)
        return msgpack.unpackb(await self._queue(channel).get())

    async def group_add(self, group, channel):
        _check(_GROUP, group)
        _check(_NAME, channel)
        self._groups.setdefault(group, {})[channel] = None

    async def group_discard(self, group, channel):
        _check(_GROUP, group)
        _check(_NAME, channel)
        self._groups.get(group, {}).pop(channel, None)

    async def group_send(self, group, message):
        _check(_GROUP, group)
        for channel in tuple(self._groups.get(group, ())):
            try:
                await self.send(channel, message)
            except ChannelFull:
                pass  # to groups "at most once": a member that is full misses it

    def _queue(self, channel):
        return self._channels.setdefault(channel, asyncio.Queue())


def _check(pattern, name):
    if type(name) is not str or len(name) > _LONGEST or not pattern.fullmatch(name):
        raise TypeError(f"{name!r} is no name of a group or channel")
