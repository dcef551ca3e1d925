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

*Channels.* A message goes to one of the processes that consume its channel (`local_channels.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, Final

from uvicorn.layers.encoding import unpack
from uvicorn.layers.handover import DONE
from uvicorn.layers.history import History, Position, Recalled
from uvicorn.layers.layer import KEEP, PUBLISH, Delivery, Intake, Receiver
from uvicorn.layers.limits import ChannelLimits
from uvicorn.layers.local_channels import LocalChannels
from uvicorn.layers.local_history import Histories, Keeper, MemoryHistories
from uvicorn.layers.local_links import frame
from uvicorn.layers.local_peers import Peers
from uvicorn.layers.local_place import Place
from uvicorn.layers.log import Log
from uvicorn.layers.names import is_reply, node_of

__all__ = ["LocalLayer"]

_HAND_OVER_SECONDS: Final = 2.0  # at the stop


class LocalLayer:
    """Messages between the processes of one machine.

    Args:
        url: how logs call it.
        place: where the processes find each other; None for this process alone.
    """

    takes_in_order: Final = False  # the process that is offered one may have room for the next one only

    def __init__(self, url: str, place: Place | None, limits: ChannelLimits, log: Log) -> None:
        self.name: Final = url
        self._place = place
        self._limits = limits
        self._log = log
        self._groups: set[str] = set()

    async def start(self, receiver: Receiver) -> None:
        """Make our socket, and connect to all that are there."""
        loop = asyncio.get_running_loop()
        self._receiver = receiver
        self._peers = Peers(self, receiver.node, self._place, self._log)
        self.channels = LocalChannels(loop, self.name, self._limits, receiver, self._peers, self._log, self._on_lost)
        # In the directory only if others find us there, or they would not hear of what we send.
        is_shared, place = self._peers.enter(), self._place
        histories: Histories = MemoryHistories()
        if is_shared and place:
            from uvicorn.layers.history_files import FileHistories  # where there are other processes

            histories = FileHistories(place.path)
        self._keeper = Keeper(loop, histories, self._on_appended, self._on_lost)
        await self._peers.start()

    async def stop(self) -> None:
        """Hand over what waits, and leave."""
        await self.channels.stop(_HAND_OVER_SECONDS)
        await self._keeper.stop(_HAND_OVER_SECONDS)
        await self._peers.stop()

    def tick(self) -> None:
        """Tell of what was dropped; look for processes that we are not connected to."""
        self._keeper.tick()
        self.channels.tick()
        self._peers.tick()

    # ---- groups ----

    def subscribe(self, group: str) -> Awaitable[Any]:
        """Have the messages of a group come; done when all others know."""
        self._groups.add(group)
        return self._peers.subscribe(group)

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
        return self._peers.request(node, kind, channel, content)

    async def members(self, group: str) -> list[str]:
        """Return the names of the members that other processes have."""
        return await self._peers.members(group)

    # ---- channels ----

    def put(self, channel: str, content: dict[str, Any], delay: float) -> Awaitable[Any]:
        """Send to one of the processes that consume a channel."""
        return self.channels.put(channel, content, delay)

    def consume(self, channels: Iterable[str], intake: Intake) -> None:
        """Have the messages of these channels come."""
        self.channels.consume(channels, intake)

    def retire(self) -> None:
        """Take no more, and hand over what waits."""
        self.channels.retire()

    def settle(self, delivery: Delivery, outcome: str) -> None:
        """The consumer of a message has ended: there may be room for more."""
        self.channels.settle(delivery, outcome)

    # ---- what peers ask for ----

    def greeting(self) -> tuple[list[str], list[str]]:
        """Return the groups of which we have members, and the channels that we consume."""
        return list(self._groups), list(self.channels.consumed)

    def on_message(self, group: str, content: dict[str, Any]) -> None:
        """A message of a group has come."""
        if group in self._groups:
            self._receiver.on_group(group, content)

    def on_kept(self, group: str, epoch: str, offset: int, packed: bytes) -> None:
        """A message of a group with a history has come."""
        if group in self._groups:
            self._receiver.on_kept(group, epoch, offset, unpack(packed), len(packed))

    def on_peers_changed(self) -> None:
        """A process has come, or gone: it may have kept messages of which it has told nobody."""
        self._receiver.on_doubt()

    def on_request(self, kind: str, channel: str, content: Any) -> Awaitable[Any]:
        """Another process asks something of one of our reply channels; done when it holds."""
        return self._receiver.on_request(kind, channel, content)

    def names_in(self, group: str) -> list[str]:
        """Return the names of the members of a group that this process has."""
        return self._receiver.names_in(group)

    def on_gap(self, missed: Mapping[str, int | None]) -> None:
        """Messages to us were dropped: group -> how many; None if nobody knows."""
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
        return self._receiver.on_request(kind, name, content)

    def on_offer(self, channel: str, id: str, content: bytes, delay: float) -> bool:
        """Another process has a message of a channel; return whether we take it."""
        return self.channels.on_offer(channel, id, content, delay)

    def on_consumers(self, channel: str) -> None:
        """A process consumes a channel from now on."""
        self.channels.on_consumers(channel)

    def _on_appended(self, group: str, position: Position, content: dict[str, Any], packed: bytes) -> None:
        self._peers.publish(group, frame("kept", group, *position, packed))
        if group in self._groups:
            self._receiver.on_kept(group, *position, content, len(packed))

    def _on_lost(self, error: BaseException) -> None:
        self._log.warning("A message of a channel could not be sent: %s", error)
