"""A channel layer in memory, as strict as the specification of Channels 4 lets a layer be.

Spec: "Channel Layer Specification", Channels 4.
"""

import asyncio
import collections
import itertools
import random
import re
import time

import msgpack

__all__ = ["SpecifiedLayer"]

_NAME = re.compile(r"[a-zA-Z0-9\-_.]+(![a-zA-Z0-9\-_.]*)?")
_GROUP = re.compile(r"[a-zA-Z0-9\-_.]+")
_LONGEST = 99  # characters of a name


class ChannelFull(Exception):
    """What a layer raises if a channel has its capacity."""


class SpecifiedLayer:
    """Channels and groups of one process.

    What is asked of it at the same time it does in any order.

    Args:
        capacity: messages that a channel holds.
        group_expiry: seconds of a membership.
        clock: for it.

    Attributes:
        added: group -> how often a channel was added.
        error: what all calls raise, if it is set: the server is away.
    """

    extensions = ("groups",)
    ChannelFull = ChannelFull

    def __init__(self, capacity=100, group_expiry=86400.0, clock=time.monotonic):
        self.group_expiry = group_expiry
        self.added = collections.Counter()
        self.error = None
        self._clock = clock
        self._random = random.Random(1)
        self._capacity = capacity
        self._channels = {}
        self._groups = {}
        self._numbers = itertools.count(1)

    async def new_channel(self, prefix="specific"):
        await self._turns()
        return f"{prefix}.specified!{next(self._numbers)}"

    async def send(self, channel, message):
        await self._turns()
        self._put(channel, message)

    def _put(self, channel, message):
        _check(_NAME, channel)
        assert type(message) is dict, message
        assert type(message["type"]) is str, message
        queue = self._queue(channel)
        if queue.qsize() >= self._capacity:
            raise ChannelFull
        # Bytes, text, numbers, lists and dicts, and copies of them: what goes between processes.
        queue.put_nowait(msgpack.packb(message))

    async def receive(self, channel):
        await self._turns()
        _check(_NAME, channel)
        return msgpack.unpackb(await self._queue(channel).get())

    async def group_add(self, group, channel):
        await self._turns()
        _check(_GROUP, group)
        _check(_NAME, channel)
        self._groups.setdefault(group, {})[channel] = self._clock() + self.group_expiry
        self.added[group] += 1

    async def group_discard(self, group, channel):
        await self._turns()
        _check(_GROUP, group)
        _check(_NAME, channel)
        self._groups.get(group, {}).pop(channel, None)

    async def group_send(self, group, message):
        await self._turns()
        _check(_GROUP, group)
        for channel, until in tuple(self._groups.get(group, {}).items()):
            if until <= self._clock():
                continue
            try:
                self._put(channel, message)
            except ChannelFull:
                pass  # to groups "at most once": a member that is full misses it

    def count_waiting(self, channel):
        """Return how many messages nobody has received yet."""
        return self._queue(channel).qsize()

    async def _turns(self):
        """Take a number of the loop's turns that nobody knows before."""
        for _ in range(self._random.randrange(5)):
            await asyncio.sleep(0)
        if self.error is not None:
            raise self.error

    def _queue(self, channel):
        return self._channels.setdefault(channel, asyncio.Queue())


def _check(pattern, name):
    if type(name) is not str or len(name) > _LONGEST or not pattern.fullmatch(name):
        raise TypeError(f"{name!r} is no name of a group or channel")
