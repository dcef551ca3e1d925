"""The local layer: messages between the processes of one machine, with nothing installed and no daemon.

Theory of operation
-------------------
Loop thread only. Each process has a socket in a directory (`local_place.py`). One that comes makes its socket first,
then connects to all that are there, and says who it is, which groups it has members of and which channels it consumes.
Who is connected to by somebody unknown connects back. Of two that come at the same time at least one sees the other,
since each makes its socket before it looks. A process that is killed is gone when its connections break; whoever finds
its socket without anybody behind it removes that.

*Groups.* A group message goes to the processes that have said that they have members, encoded once, and to our own
members without being encoded. A process that subscribes is answered by all others before `subscribe` is done: who was
added misses nothing that is sent after that. A peer that takes nothing loses messages; they are counted, and told to it
when it has caught up, so that its members learn of the gap.

*Histories.* The message of a group with a history is kept first, in a file that all processes share, which gives its
offset (`history_files.py`). Then it goes the same way; a process that finds one missing looks into the file.

*Channels.* A message is offered to the processes that consume its channel, one after the other, in turn; each has a
queue of `channel_capacity`, and all full is `ChannelFull`. Where nobody consumes the channel it waits with the sender,
until somebody does. It is delivered at most once: a worker that is killed loses what it has.

*The stop.* A process that stops in order hands what waits, and what is delayed, to others. The last one forgets it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any, Final, Protocol

from uvicorn.errors import ChannelFull, ChannelLayerUnavailable
from uvicorn.layers.delay import Delays
from uvicorn.layers.encoding import pack, unpack
from uvicorn.layers.handover import DONE, Handover
from uvicorn.layers.history import History, Position, Recalled
from uvicorn.layers.history_files import FileHistories
from uvicorn.layers.ids import new_id
from uvicorn.layers.layer import KEEP, LATER, PUBLISH, SEND, UNDONE, Delivery, Intake, Receiver
from uvicorn.layers.limits import ChannelLimits
from uvicorn.layers.local_history import Histories, Keeper, MemoryHistories
from uvicorn.layers.local_links import frame
from uvicorn.layers.local_peers import Peers
from uvicorn.layers.local_place import Place
from uvicorn.layers.names import is_reply, node_of
from uvicorn.layers.queues import Queues

__all__ = ["LocalLayer"]

_LATER_SECONDS: Final = 1.0  # until a message that its consumer does not want yet is delivered again; arbitrary
_HAND_OVER_SECONDS: Final = 2.0  # at the stop


class Log(Protocol):
    """What we use of the worker's log."""

    def info(self, msg: str, *args: Any, **kwargs: Any) -> None: ...
    def warning(self, msg: str, *args: Any, **kwargs: Any) -> None: ...
    def error(self, msg: str, *args: Any, **kwargs: Any) -> None: ...


class LocalLayer:
    """Messages between the processes of one machine.

    Args:
        url: how logs call it.
        place: where the processes find each other; None for this process alone.
    """

    def __init__(self, url: str, place: Place | None, limits: ChannelLimits, log: Log) -> None:
        self.name: Final = url
        self._place = place
        self._limits = limits
        self._log = log
        self._intake: Intake | None = None
        self._groups: set[str] = set()
        self._channels: tuple[str, ...] = ()  # that we consume
        self._turn = 0
        self._is_stopping = False
        self._is_pumping = False
        self._offers: set[asyncio.Task[bool]] = set()  # whose messages come back if nobody takes them
        self._unclaimed: set[str] = set()  # channels that nobody consumes, as we have told
        self._later: dict[str, tuple[asyncio.TimerHandle, str, bytes]] = {}  # id -> what its consumer did not want yet

    async def start(self, receiver: Receiver) -> None:
        """Make our socket, and connect to all that are there."""
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._receiver = receiver
        self._queues = Queues(self._limits, loop.time)
        self._delays = Delays(loop, self._due)
        self._peers = Peers(self, receiver.node, self._place, self._log)
        # In the directory only if others find us there, or they would not hear of what we send.
        is_shared, place = self._peers.enter(), self._place
        histories: Histories = FileHistories(place.path) if is_shared and place else MemoryHistories()
        self._keeper = Keeper(loop, histories, self._on_appended, self._on_lost)
        await self._peers.start()

    async def stop(self) -> None:
        """Hand over what waits, and leave."""
        self.retire()
        if self._offers:
            await asyncio.wait(tuple(self._offers), timeout=_HAND_OVER_SECONDS)
        calls = [self._offer(channel, id, content) for channel, id, content in self._drain()]
        for seconds, channel, content in self._delays.drain():
            calls.append(self._pass_on(channel, content, seconds))
        lost = 0
        if calls:
            tasks = [self._loop.create_task(call) for call in calls]
            await asyncio.wait(tasks, timeout=_HAND_OVER_SECONDS)
            for task in tasks:
                if not task.done() or task.cancelled() or task.exception() is not None or not task.result():
                    lost += 1
                    task.cancel()
        if lost:
            self._log.warning("%d messages of channels are lost: no other process of %s takes them", lost, self.name)
        await self._keeper.stop(_HAND_OVER_SECONDS)
        await self._peers.stop()

    def tick(self) -> None:
        """Tell of what was dropped; look for processes that we are not connected to."""
        self._keeper.tick()
        self._queues.tick()
        for channel, count in self._queues.expired.items():
            self._log.warning("%d messages of %s waited for longer than channel_expiry: dropped", count, channel)
        self._queues.expired.clear()
        for channel in self._queues.channels():
            self._offer_waiting(channel)  # those that were full may have room now
        self._unclaimed.intersection_update(self._queues.channels())
        self._peers.tick()

    # ---- groups ----

    def subscribe(self, group: str) -> Awaitable[Any]:
        """Have the messages of a group come; done when all others know."""
        self._groups.add(group)
        return self._peers.tell_all("subscribe", group)

    def unsubscribe(self, group: str) -> None:
        """Have them come no more."""
        self._groups.discard(group)
        self._peers.send_all("unsubscribe", group)

    def publish(self, group: str, content: dict[str, Any]) -> Awaitable[Any]:
        """Send to all processes that have subscribed to a group."""
        data = frame("message", group, content)
        self._peers.publish(group, data)
        if group in self._groups:
            self._receiver.on_group(group, content)
        return DONE

    def check_history(self) -> None:
        """Do nothing: all groups can have a history."""

    def keep(self, group: str, content: dict[str, Any], history: History) -> Awaitable[Any]:
        """Send to all processes that have subscribed to a group, and keep it."""
        return self._keeper.keep(group, content, history)

    def recall(self, group: str, history: History, known: Position | None) -> Awaitable[Recalled]:
        """Return what is kept of a group's history after what is known."""
        return self._keeper.recall(group, history, known)

    def request(self, node: str, kind: str, channel: str, content: Any) -> Awaitable[Any]:
        """Ask something of another process; one that is gone is no error."""
        return self._peers.ask(node, "request", kind, channel, content)

    # ---- channels ----

    def put(self, channel: str, content: dict[str, Any], delay: float) -> Awaitable[Any]:
        """Send to one of the processes that consume a channel."""
        packed = pack(content)
        id = new_id(content)
        if delay:
            self._delays.add(delay, channel, packed)
            return DONE
        return self._put(channel, id, packed)

    def consume(self, channels: Iterable[str], intake: Intake) -> None:
        """Have the messages of these channels come."""
        self._channels = tuple(channels)
        self._intake = intake
        self._peers.send_all("consume", list(self._channels))
        self._pump()

    def retire(self) -> None:
        """Take no more, and hand over what waits."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self._channels = ()
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

    # ---- what peers ask for ----

    def greeting(self) -> tuple[list[str], list[str]]:
        """Return the groups of which we have members, and the channels that we consume."""
        return list(self._groups), list(self._channels)

    def on_message(self, group: str, content: dict[str, Any]) -> None:
        """A message of a group has come."""
        if group in self._groups:
            self._receiver.on_group(group, content)

    def on_kept(self, group: str, epoch: str, offset: int, packed: bytes) -> None:
        """A message of a group with a history has come."""
        if group in self._groups:
            self._receiver.on_kept(group, epoch, offset, unpack(packed))

    def on_peers_changed(self) -> None:
        """A process has come, or gone: it may have kept messages of which it has told nobody."""
        self._receiver.on_doubt()

    def on_request(self, kind: str, channel: str, content: Any) -> None:
        """Another process asks something of one of our reply channels."""
        self._receiver.on_request(kind, channel, content)

    def on_gap(self, missed: dict[str, int]) -> None:
        """Messages to us were dropped: group -> how many."""
        for group, count in missed.items():
            self._receiver.on_gap([group], count)

    def on_program(self, kind: str, name: str, content: Any, delay: float) -> Awaitable[Any]:
        """A program that is no server asks for something."""
        if kind == PUBLISH:
            return self.publish(name, content)
        if kind == KEEP:
            message, *history = content
            return self.keep(name, message, History(*history))
        if delay or not is_reply(name):
            return self.put(name, content, delay)
        if node_of(name) != self._receiver.node:
            return self.request(node_of(name), kind, name, content)
        self._receiver.on_request(kind, name, content)
        return DONE

    def on_offer(self, channel: str, id: str, content: bytes, delay: float) -> bool:
        """Another process has a message of a channel; return whether we take it."""
        if delay:
            try:
                self._delays.add(delay, channel, content)
            except ChannelFull:
                return False
            return True
        if channel not in self._channels or not self._queues.add(channel, id, content):
            return False
        self._pump()
        return True

    def on_consumers(self, channel: str) -> None:
        """A process consumes a channel from now on: what waits here for one is for it."""
        self._unclaimed.discard(channel)
        self._offer_waiting(channel)

    # ---- one message ----

    def _on_appended(self, group: str, position: Position, content: dict[str, Any], packed: bytes) -> None:
        self._peers.publish(group, frame("kept", group, *position, packed))
        if group in self._groups:
            self._receiver.on_kept(group, *position, content)

    def _offer_waiting(self, channel: str) -> None:
        """Offer what waits here to those that consume the channel, if we do not."""
        if channel not in self._channels and self._peers.consumers(channel):
            for waiting in self._queues.take_channel(channel):
                self._again(channel, waiting.id, waiting.content)

    def _put(self, channel: str, id: str, content: bytes) -> Awaitable[Any]:
        task = self._place_one(channel, id, content)
        return DONE if task is None else Handover(task, self._on_lost)

    def _place_one(self, channel: str, id: str, content: bytes) -> asyncio.Task[bool] | None:
        """Keep a message, or offer it; return the task that does. Raises: ChannelFull."""
        others = self._peers.consumers(channel)
        if channel in self._channels and (not others or self._has_room(channel)):
            self._keep(channel, id, content)
            return None
        if not others:
            self._keep(channel, id, content)
            if channel not in self._unclaimed:
                self._unclaimed.add(channel)
                self._log.warning("No process of %s consumes %s: its messages wait for one", self.name, channel)
            return None
        return self._loop.create_task(self._offer_or_fail(channel, id, content))

    def _keep(self, channel: str, id: str, content: bytes) -> None:
        if not self._queues.add(channel, id, content):
            if self._queues.is_crowded:
                raise ChannelFull(f"messages wait in very many channels already, and nobody takes those of {channel}")
            raise ChannelFull(_full(channel, self._limits))
        self._pump()

    async def _offer_or_fail(self, channel: str, id: str, content: bytes) -> bool:
        if not await self._offer(channel, id, content):
            raise ChannelFull(_full(channel, self._limits))
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
                reason = "the process that was to take the message has left, or does not answer"
                raise ChannelLayerUnavailable(reason, was_sent=True) from None
        return channel in self._channels and self._take_own(channel, id, content)

    def _take_own(self, channel: str, id: str, content: bytes) -> bool:
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
        if channel not in self._channels and self._peers.consumers(channel):
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
                self._peers.ask(node, "request", SEND, channel, unpack(content))
            return True
        id = new_id(unpack(content))
        try:
            task = self._place_one(channel, id, content)
        except ChannelFull:
            return False
        if task is not None:
            self._follow(channel, id, content, task)
        return True

    def _drain(self) -> list[tuple[str, str, bytes]]:
        return [
            (channel, waiting.id, waiting.content)
            for channel in self._queues.channels()
            for waiting in self._queues.take_channel(channel)
        ]

    def _has_room(self, channel: str) -> bool:
        return (
            channel in self._channels
            and self._intake is not None
            and not self._queues.count(channel)
            and self._intake.room(channel) > 0
        )

    def _pump(self) -> None:
        """Call consumers, as many as there is room for."""
        intake = self._intake
        if intake is None or self._is_stopping or self._is_pumping:
            return  # what is settled at once makes room in the midst of it

        def has_room(channel: str) -> bool:
            return channel in self._channels and intake.room(channel) > 0

        self._is_pumping = True
        try:
            while (waiting := self._queues.take(has_room)) is not None:
                content = waiting.content
                intake.take(Delivery(waiting.channel, unpack(content), waiting.id, waiting.delivery, content))
        finally:
            self._is_pumping = False

    def _on_lost(self, error: BaseException) -> None:
        self._log.warning("A message of a channel could not be sent: %s", error)


def _full(channel: str, limits: ChannelLimits) -> str:
    return f"{limits.capacity_of(channel)} messages wait in {channel}: no consumer takes them"
