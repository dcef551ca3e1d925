"""The channels of a local layer: each message goes to one of the processes that consume its channel.

Theory of operation
-------------------
Loop thread only. A message is offered to the processes that consume its channel, one after the other, in turn; each
has a queue of `channel_capacity`, and all full is `ChannelFull`. Where nobody consumes the channel it waits with the
sender, until somebody does. It is delivered at most once: a worker that is killed loses what it has.

*The stop.* A process that stops in order hands what waits, and what is delayed, to others. The last one forgets it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from uvicorn.errors import ChannelFull, ChannelLayerUnavailable
from uvicorn.layers.delay import Delays
from uvicorn.layers.encoding import pack, unpack, unpack_message
from uvicorn.layers.handover import DONE, Handover
from uvicorn.layers.ids import new_id
from uvicorn.layers.layer import LATER, SEND, UNDONE, Delivery, Intake, Receiver
from uvicorn.layers.limits import ChannelLimits
from uvicorn.layers.local_peers import Peers
from uvicorn.layers.log import Log
from uvicorn.layers.names import is_reply, node_of
from uvicorn.layers.queues import Queues

__all__ = ["LocalChannels"]

_LATER_SECONDS: Final = 1.0  # until a message that its consumer does not want yet is delivered again; arbitrary


class LocalChannels:
    """The messages of channels that this process has, and those that it sends.

    Args:
        name: of the layer, in logs.
        on_lost: called with the error of a message that nobody waits for.

    Attributes:
        consumed: the channels that this process consumes.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        name: str,
        limits: ChannelLimits,
        receiver: Receiver,
        peers: Peers,
        log: Log,
        on_lost: Callable[[BaseException], None],
    ) -> None:
        self.consumed: tuple[str, ...] = ()
        self._loop = loop
        self._name = name
        self._limits = limits
        self._receiver = receiver
        self._peers = peers
        self._log = log
        self._on_lost = on_lost
        self._queues = Queues(limits, loop.time)
        self._delays = Delays(loop, self._due)
        self._intake: Intake | None = None
        self._turn = 0
        self._is_stopping = False
        self._is_pumping = False
        self._offers: set[asyncio.Task[bool]] = set()  # whose messages come back if nobody takes them
        self._unclaimed: set[str] = set()  # channels that nobody consumes, as we have told
        self._later: dict[str, tuple[asyncio.TimerHandle, str, bytes]] = {}  # id -> what its consumer did not want yet

    async def stop(self, seconds: float) -> None:
        """Hand over what waits; wait for so many seconds at most, twice."""
        self.retire()
        if self._offers:
            await asyncio.wait(tuple(self._offers), timeout=seconds)
        calls = [self._offer(each.channel, each.id, each.content) for each in self._queues.drain()]
        calls += [self._pass_on(channel, content, delay) for delay, channel, content in self._delays.drain()]
        lost = 0
        if calls:
            tasks = [self._loop.create_task(call) for call in calls]
            await asyncio.wait(tasks, timeout=seconds)
            for task in tasks:
                if not task.done() or task.cancelled() or task.exception() is not None or not task.result():
                    lost += 1
                    task.cancel()
        if lost:
            self._log.warning("%d messages of channels are lost: no other process of %s takes them", lost, self._name)

    def tick(self) -> None:
        """Tell of what was dropped; offer again what waits."""
        self._queues.tick()
        for channel, count in self._queues.expired.items():
            self._log.warning("%d messages of %s waited for longer than channel_expiry: dropped", count, channel)
        self._queues.expired.clear()
        for channel in self._queues.channels():
            self._offer_waiting(channel)  # those that were full may have room now
        self._unclaimed.intersection_update(self._queues.channels())

    def put(self, channel: str, content: dict[str, Any], delay: float) -> Awaitable[Any]:
        """Send to one of the processes that consume a channel."""
        packed = pack(content)
        id = new_id(content)
        if delay:
            self._delays.add(delay, channel, packed)
            return DONE
        task = self._place_one(channel, id, packed)
        return DONE if task is None else Handover(task, self._on_lost)

    def consume(self, channels: Iterable[str], intake: Intake) -> None:
        """Have the messages of these channels come."""
        self.consumed = tuple(channels)
        self._intake = intake
        self._peers.send_all("consume", list(self.consumed))
        self._pump()

    def retire(self) -> None:
        """Take no more, and hand over what waits."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self.consumed = ()
        self._peers.send_all("consume", [])
        for channel in self._queues.channels():
            self._offer_waiting(channel)
        for id in tuple(self._later):
            self._again_now(id)

    def settle(self, delivery: Delivery, outcome: str) -> None:
        """The consumer of a message has ended: there may be room for more."""
        channel, id, packed = delivery.channel, delivery.id, delivery.receipt
        if outcome == LATER and not self._is_stopping:
            self._later[id] = self._loop.call_later(_LATER_SECONDS, self._again_now, id), channel, packed
            self._queues.aside[channel] += 1
        elif outcome in (LATER, UNDONE):
            self._again(channel, id, packed)
        self._pump()

    def on_offer(self, channel: str, id: str, content: bytes, delay: float) -> bool:
        """Another process has a message of a channel; return whether we take it."""
        if delay:
            try:
                self._delays.add(delay, channel, content)
            except ChannelFull:
                return False
            return True
        if channel not in self.consumed or not self._queues.add(channel, id, content):
            return False
        self._pump()
        return True

    def on_consumers(self, channel: str) -> None:
        """A process consumes a channel from now on: what waits here for one is for it."""
        self._unclaimed.discard(channel)
        self._offer_waiting(channel)

    # ---- one message ----

    def _offer_waiting(self, channel: str) -> None:
        """Offer what waits here to those that consume the channel, if we do not."""
        if channel not in self.consumed and self._peers.consumers(channel):
            for waiting in self._queues.take_channel(channel):
                self._again(channel, waiting.id, waiting.content)

    def _place_one(self, channel: str, id: str, content: bytes) -> asyncio.Task[bool] | None:
        """Keep a message, or offer it; return the task that does. Raises: ChannelFull."""
        others = self._peers.consumers(channel)
        if channel in self.consumed and (not others or self._has_room(channel)):
            self._keep(channel, id, content)
            return None
        if not others:
            self._keep(channel, id, content)
            if channel not in self._unclaimed:
                self._unclaimed.add(channel)
                self._log.warning("No process of %s consumes %s: its messages wait for one", self._name, channel)
            return None
        return self._loop.create_task(self._offer_or_fail(channel, id, content))

    def _keep(self, channel: str, id: str, content: bytes) -> None:
        if not self._queues.add(channel, id, content):
            if self._queues.is_crowded:
                raise ChannelFull(f"messages wait in very many channels already, and nobody takes those of {channel}")
            raise ChannelFull(self._full(channel))
        self._pump()

    async def _offer_or_fail(self, channel: str, id: str, content: bytes) -> bool:
        if not await self._offer(channel, id, content):
            raise ChannelFull(self._full(channel))
        return True

    async def _offer(self, channel: str, id: str, content: bytes) -> bool:
        """Offer a message to the processes that consume its channel, in turn; return whether one took it.

        Raises: ChannelLayerUnavailable if one may have it that has left.
        """
        others = self._peers.consumers(channel)
        self._turn += 1
        for at in range(len(others)):
            peer = others[(self._turn + at) % len(others)]
            if not peer.takes:  # since we looked
                continue
            try:
                if await peer.ask("offer", channel, id, content, 0.0):
                    return True
            except ConnectionError:
                raise ChannelLayerUnavailable("who was to take it left, or does not answer", was_sent=True) from None
        if channel not in self.consumed:
            return False
        is_taken = self._queues.add(channel, id, content)
        self._pump()
        return is_taken

    async def _pass_on(self, channel: str, content: bytes, seconds: float) -> bool:
        for peer in self._peers.all():
            try:
                return bool(await peer.ask("offer", channel, "", content, seconds))
            except ConnectionError:
                continue
        return False

    def _again(self, channel: str, id: str, content: bytes) -> None:
        """Deliver a message that was taken before: here, or where its channel is consumed."""
        if channel not in self.consumed and self._peers.consumers(channel):
            self._follow(channel, id, content, self._loop.create_task(self._offer(channel, id, content)))
        else:
            self._queues.add(channel, id, content, is_beyond=True)
            self._pump()

    def _again_now(self, id: str) -> None:
        timer, channel, content = self._later.pop(id)
        timer.cancel()
        self._queues.aside[channel] -= 1
        self._again(channel, id, content)

    def _follow(self, channel: str, id: str, content: bytes, task: asyncio.Task[bool]) -> None:
        self._offers.add(task)
        task.add_done_callback(lambda task: self._offered(channel, id, content, task))

    def _offered(self, channel: str, id: str, content: bytes, task: asyncio.Task[bool]) -> None:
        self._offers.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ChannelLayerUnavailable):
            self._on_lost(error)  # or it could be delivered twice
        elif task.cancelled() or error is not None or not task.result():
            self._queues.add(channel, id, content, is_beyond=True)  # it is offered again at the next tick
            self._pump()

    def _due(self, channel: str, content: bytes) -> bool:
        """A delayed message is due; return False if it must be tried again."""
        if is_reply(channel):
            node = node_of(channel)
            if node == self._receiver.node:
                self._receiver.on_request(SEND, channel, unpack(content))
            else:
                try:
                    self._peers.request(node, SEND, channel, unpack(content))
                except ChannelLayerUnavailable:
                    return False
            return True
        id = new_id(unpack_message(content))
        try:
            task = self._place_one(channel, id, content)
        except ChannelFull:
            return False
        if task is not None:
            self._follow(channel, id, content, task)
        return True

    def _has_room(self, channel: str) -> bool:
        if channel not in self.consumed or self._intake is None or self._queues.count(channel):
            return False
        return self._intake.room(channel) > 0

    def _pump(self) -> None:
        """Call consumers, as many as there is room for."""
        intake = self._intake
        if intake is None or self._is_stopping or self._is_pumping:
            return  # what is settled at once makes room in the midst of it

        def has_room(channel: str) -> bool:
            return channel in self.consumed and intake.room(channel) > 0

        self._is_pumping = True
        try:
            while (waiting := self._queues.take(has_room)) is not None:
                content = waiting.content
                intake.take(Delivery(waiting.channel, unpack_message(content), waiting.id, waiting.delivery, content))
        finally:
            self._is_pumping = False

    def _full(self, channel: str) -> str:
        return f"{self._limits.capacity_of(channel)} messages wait in {channel}: no consumer takes them"
