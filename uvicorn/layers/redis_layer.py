"""The Redis layer: groups by pub/sub, channels by streams. For many machines.

Per process there is one connection for sending (`redis_publisher.py`), one for hearing (`redis_subscriber.py`; in a
cluster one per node), and, if it consumes channels, one for reading them and one for its claims (`redis_streams.py`).
What we send to a group comes to our own members through Redis, too: so all members see one order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from uvicorn.errors import ChannelFull, ChannelLayerUnavailable
from uvicorn.layers.asking import ANSWER, Questions, carry_out
from uvicorn.layers.census import Census
from uvicorn.layers.encoding import pack, unpack
from uvicorn.layers.ending import within
from uvicorn.layers.handover import Handover
from uvicorn.layers.history import History, Position, Recalled
from uvicorn.layers.ids import new_id
from uvicorn.layers.layer import SEND, Delivery, Intake, Receiver
from uvicorn.layers.limits import ChannelLimits
from uvicorn.layers.log import Log
from uvicorn.layers.names import is_reply, node_of
from uvicorn.layers.redis_cluster import ClusterSubscriber
from uvicorn.layers.redis_history import KEEP, keep_arguments, keys_of, recall
from uvicorn.layers.redis_outage import Outage
from uvicorn.layers.redis_publisher import Publisher
from uvicorn.layers.redis_puts import Puts
from uvicorn.layers.redis_scripts import DELAY, DUE, MOVE, Keys
from uvicorn.layers.redis_servers import RedisAddress, told
from uvicorn.layers.redis_streams import Streams
from uvicorn.layers.redis_subscriber import Subscriber

__all__ = ["RedisLayer"]

_STOP_SECONDS: Final = 2.0
_MOST_DELAYED: Final = 10_000  # messages of one channel; arbitrary
_SPARE_SECONDS: Final = 60  # that what is delayed for a process lives on after its time
_ASKS: Final = 2  # parts of what asks for the members of a group
_MEMBERS: Final = "members"  # what it is answered with
_LOOK: Final = "look"  # what a process is told to do with its delayed messages


class RedisLayer:
    """Messages between processes by Redis."""

    takes_in_order: Final = True

    def __init__(self, address: RedisAddress, limits: ChannelLimits, log: Log) -> None:
        self.name: Final = address.shown
        self._address = address
        self._keys = Keys(address.prefix)
        self._limits = limits
        self._log = log
        self._streams: Streams | None = None
        self._lost = 0

    async def start(self, receiver: Receiver) -> None:
        """Connect, in a bounded time. A Redis that cannot be reached is told of, and tried again and again."""
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._receiver = receiver
        self._own = self._keys.node(receiver.node)
        self._publish_command = "SPUBLISH" if self._address.is_cluster else "PUBLISH"
        self._questions = Questions(self._address.timeout)
        self._census = Census(self._address.timeout)
        self._outage = Outage(self.name, loop.time, self._log)
        self._publisher = Publisher(self._address, self._outage)
        self._puts = Puts(self._publisher, self._keys, self._limits, receiver.node)
        timeout = self._address.timeout
        if self._address.is_cluster:
            self._subscriber: Subscriber | ClusterSubscriber = ClusterSubscriber(
                self._address, self._on_message, self._on_gap, self._outage
            )
        else:
            self._subscriber = Subscriber(
                "subscribing", lambda: self._address.client(), self._on_message, self._on_gap, self._outage, timeout
            )
        own = self._subscriber.subscribe(self._own)
        known = [loop.create_task(part.is_known.wait()) for part in (self._publisher, self._subscriber)]
        await asyncio.wait(known, timeout=timeout)
        for task in known:
            task.cancel()
        if not self._outage.since:  # what is asked of us by name is for us from now on
            await asyncio.wait([own], timeout=timeout)

    async def stop(self) -> None:
        """Send what was handed over, and leave."""
        if self._streams is not None:
            await self._streams.stop()
        await self._publisher.stop(_STOP_SECONDS)
        await self._subscriber.stop()

    def tick(self) -> None:
        """Look for what is due; tell of what nobody waited for."""
        if self._streams is not None:
            self._streams.move_due()
        self._take_due()

    # ---- groups ----

    def subscribe(self, group: str) -> Awaitable[Any]:
        """Have the messages of a group come."""
        future = self._subscriber.subscribe(self._keys.group(group))
        return Handover(self._loop.create_task(self._confirmed(future)), self._on_lost)

    def unsubscribe(self, group: str) -> None:
        """Have them come no more."""
        self._subscriber.unsubscribe(self._keys.group(group))

    def publish(self, group: str, content: dict[str, Any]) -> Awaitable[Any]:
        """Send to all processes that have subscribed to a group."""
        return self._handed(self._publish(self._keys.group(group), pack(content)))

    def check_history(self) -> None:
        """Do nothing: all groups can have a history."""

    def keep(self, group: str, content: dict[str, Any], history: History) -> Awaitable[Any]:
        """Send to all processes that have subscribed to a group, and keep it."""
        channel = self._keys.group(group)
        arguments = keep_arguments(channel, self._publish_command, history, pack(content))
        return self._handed(self._publisher.run(KEEP, keys_of(channel), *arguments))

    def recall(self, group: str, history: History, known: Position | None) -> Awaitable[Recalled]:
        """Return what is kept of a group's history after what is known."""
        return recall(self._publisher, self._keys.group(group), history, known)

    def request(self, node: str, kind: str, channel: str, content: Any) -> Awaitable[Any]:
        """Ask something of another process; one that is gone is no error."""
        if kind == SEND:
            return self._handed(self._publish(self._keys.node(node), pack([kind, channel, content])))

        def ask(number: int) -> asyncio.Future[Any]:
            return self._publish(self._keys.node(node), pack([kind, channel, content, self._own, number]))

        return Handover(self._loop.create_task(self._questions.ask(ask)), self._on_lost)

    async def members(self, group: str) -> list[str]:
        """Return the names of the members that other processes have. Raises: ChannelLayerUnavailable."""

        def ask(number: int) -> asyncio.Future[Any]:
            return self._publish(self._keys.group(group), pack([self._own, number]))

        return await self._census.take(ask)

    # ---- channels ----

    def put(self, channel: str, content: dict[str, Any], delay: float) -> Awaitable[Any]:
        """Send to one of the processes that consume a channel; or, with a delay, to a reply channel."""
        packed = pack(content)
        id = new_id(content)
        if delay:
            return self._handed(self._delay(channel, id, packed, delay))
        future = self._puts.put(channel, id, packed)
        return self._checked(future, f"{self._limits.capacity_of(channel)} messages wait in {channel}")

    def consume(self, channels: Iterable[str], intake: Intake) -> None:
        """Have the messages of these channels come."""
        self._streams = Streams(
            self._address,
            self._keys,
            self._receiver.node,
            tuple(channels),
            intake,
            self._limits,
            self._publisher,
            self._outage,
            self._log,
        )

    def retire(self) -> None:
        """Take no more messages of channels."""
        if self._streams is not None:
            self._streams.retire()

    def settle(self, delivery: Delivery, outcome: str) -> None:
        """The consumer of a message has ended."""
        if self._streams is not None:
            self._streams.settle(delivery, outcome)

    # ---- what comes ----

    def _on_message(self, name: str, data: bytes) -> None:
        try:
            content = unpack(data)
            if name != self._own and isinstance(content, list) and len(content) == _ASKS:
                self._tell_members(name.removeprefix(self._keys.group("")), *content)
            elif name != self._own and isinstance(content, list):
                epoch, offset, message = content
                size = len(data) - len(pack((epoch, offset)))  # as Redis counts it for the history's bound
                self._receiver.on_kept(name.removeprefix(self._keys.group("")), epoch, offset, message, size)
            elif name != self._own:
                self._receiver.on_group(name.removeprefix(self._keys.group("")), content)
            elif content[0] == _LOOK:
                self._take_due()
            elif content[0] == ANSWER:
                self._questions.answered(*content[1:])
            elif content[0] == _MEMBERS:
                self._census.answered(*content[1:])
            else:
                carry_out(partial(self._receiver.on_request, *content[:3]), partial(self._answer, content[3:]))
        except (ValueError, TypeError, IndexError) as error:
            self._log.error("What came from %s is no message of ours: %s", self.name, error)

    def _tell_members(self, group: str, asker: str, number: int) -> None:
        """A process asks who is in a group: this one too, which knows its own."""
        if asker == self._own:
            self._census.answered(number, [])
        else:
            with suppress(ChannelLayerUnavailable):  # it does not wait for ever
                self._publish(asker, pack([_MEMBERS, number, self._receiver.names_in(group)]))

    def _on_gap(self) -> None:
        """Redis was away: nobody knows what was missed."""
        self._receiver.on_gap(None, None)

    def _answer(self, asker: list[Any], error: list[str] | None) -> None:
        """What we were asked for holds, or cannot be."""
        if not asker:
            if error is not None:
                self._log.error("A reply cannot be sent: %s", ": ".join(error))
            return
        node, number = asker
        with suppress(ChannelLayerUnavailable):  # it does not wait for ever
            self._publish(node, pack([ANSWER, number, error]))

    # ---- sending ----

    def _publish(self, name: str, data: bytes) -> asyncio.Future[Any]:
        return self._publisher.execute(self._publish_command, name, data)

    def _handed(self, future: asyncio.Future[Any]) -> Awaitable[Any]:
        return Handover(self._loop.create_task(_forget(future)), self._on_lost)

    def _checked(self, future: asyncio.Future[Any], full: str) -> Awaitable[Any]:
        return Handover(self._loop.create_task(_unless_full(future, full)), self._on_lost)

    async def _confirmed(self, future: asyncio.Future[None]) -> None:
        try:
            await within(self._address.timeout, asyncio.shield(future))
        except asyncio.TimeoutError:
            raise ChannelLayerUnavailable(f"{self.name} cannot be reached: no subscription yet") from None

    async def _kept(self, key: str, milliseconds: int, member: bytes, life: int) -> None:
        kept = await self._publisher.run(DELAY, (key,), milliseconds, member, life, _MOST_DELAYED)
        if not kept:
            raise ChannelFull(f"{_MOST_DELAYED} delayed messages wait already")

    def _delay(self, channel: str, id: str, packed: bytes, seconds: float) -> asyncio.Future[Any]:
        milliseconds = max(1, int(seconds * 1000))
        if is_reply(channel):
            node = node_of(channel)
            member = pack([id, channel, packed])
            key, life = self._keys.delayed(node), int(seconds) + _SPARE_SECONDS
        else:
            node, member = "", id.encode() + packed
            key, life = self._keys.delayed(channel), 0
        self._loop.call_later(seconds + 0.002, self._look, channel, node)
        return self._loop.create_task(self._kept(key, milliseconds, member, life))

    def _look(self, channel: str, node: str) -> None:
        """What we have delayed is due: it would be seen a second later at most, if we did nothing."""
        try:
            if not node:
                keys = (self._keys.delayed(channel), self._keys.stream(channel))
                self._publisher.run(MOVE, keys, self._limits.capacity_of(channel), self._keys.consumers)
            elif node == self._receiver.node:
                self._take_due()
            else:
                self._publish(self._keys.node(node), pack([_LOOK]))
        except ChannelLayerUnavailable:
            pass  # the next look will

    def _take_due(self) -> None:
        """Take the delayed messages for our reply channels that are due."""

        def taken(future: asyncio.Future[Any]) -> None:
            if future.cancelled() or future.exception() is not None:
                return
            for member in future.result() or ():
                _, channel, packed = unpack(member)
                self._receiver.on_request(SEND, channel, unpack(packed))

        try:
            self._publisher.run(DUE, (self._keys.delayed(self._receiver.node),)).add_done_callback(taken)
        except ChannelLayerUnavailable:
            pass  # the next look will

    def _on_lost(self, error: BaseException) -> None:
        self._log.warning("A message to a group or channel could not be sent: %s", told(error))


async def _forget(future: asyncio.Future[Any]) -> None:
    await future


async def _unless_full(future: asyncio.Future[Any], full: str) -> None:
    if not await future:
        raise ChannelFull(f"{full}: no consumer takes them")
