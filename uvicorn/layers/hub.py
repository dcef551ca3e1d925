"""The hub of a worker: who of this process is in which group, and what came for whom.

Theory of operation
-------------------
Loop thread only. `Group` and `Channel` come here from all sides (`office.py`); the layer brings what other processes
sent. The process is subscribed to a group while the group has members here (`subscriptions.py`): the first one
subscribes, the last one that leaves unsubscribes, and those between cost a dictionary entry.

A member is a reply channel that the worker's directory keeps. When its socket closes the directory says so at once
(`on_gone`), and the member leaves all its groups.

*Deferred* messages of synchronous consumers come here when their consumer has returned (`deferred.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from math import inf
from typing import Any, Final, Protocol

from uvicorn.layers.backlog import Bounds
from uvicorn.layers.deferred import DeferredMessages
from uvicorn.layers.followers import Followers
from uvicorn.layers.handover import DONE
from uvicorn.layers.history import PLAIN, History, Joining, packed, unpacked
from uvicorn.layers.layer import ADD, DISCARD, SEND, Layer
from uvicorn.layers.log import Log
from uvicorn.layers.members import Member, Named
from uvicorn.layers.names import is_reply, node_of
from uvicorn.layers.subscriptions import Subscriptions

__all__ = ["Directory", "Hub"]


class Directory(Protocol):
    """The reply channels of this process that have a name."""

    on_gone: Callable[[str], object]  # called with the name of each that is closed

    @property
    def node(self) -> str:
        """The name of this process, in the names of its reply channels."""

    def find(self, name: str) -> Any:
        """Return the channel of this name, or None."""

    def closed(self, name: str) -> None:
        """Let go of a channel, and tell `on_gone`."""


class Hub:
    """What connects the reply channels of this process with a layer.

    Args:
        bounds: how far a member may be behind.
        group_expiry: seconds of a membership.
        share: prepares a message for many reply channels, or returns None.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        layer: Layer,
        directory: Directory,
        log: Log,
        bounds: Bounds,
        group_expiry: float = 86400.0,
        share: Callable[[Mapping[str, Any]], Any] = lambda content: None,
    ) -> None:
        self.node: Final = directory.node
        self.layer: Final = layer
        self._loop = loop
        self._log = log
        self._bounds = bounds
        self._group_expiry = group_expiry
        self._share = share
        self._directory = directory
        self._groups: dict[str, dict[str, Member]] = {}
        self._members: dict[str, Member] = {}
        self._subscriptions = Subscriptions(loop, layer, self.on_lost)
        self._expires_at = inf  # no membership expires before
        self._followers = Followers(loop, layer, self)
        self.deferred: Final = DeferredMessages(loop, log, self.on_lost, layer.takes_in_order)
        self._dropped = 0  # since the last tick, as are the next two
        self._lost = 0
        self._last_lost: BaseException | None = None
        directory.on_gone = self._gone

    async def start(self) -> None:
        """Begin to carry messages."""
        await self.layer.start(self)

    async def stop(self) -> None:
        """Leave the layer, when it has what consumers have sent."""
        await self.deferred.stop()
        self._followers.stop()
        await self.layer.stop()
        self._tell_of_losses()

    def tick(self) -> None:
        """Do once a second what depends on time, and tell of what was lost."""
        self.layer.tick()
        now = self._loop.time()
        self._expire(now)
        self._followers.tick(now)
        self._tell_of_losses()

    def _tell_of_losses(self) -> None:
        if self._dropped:
            self._log.warning("Dropped %d group messages for members whose clients are behind", self._dropped)
            self._dropped = 0
        if self._lost:
            self._log.warning(
                "%d messages to groups and channels could not be sent: %s", self._lost, _told(self._last_lost)
            )
            self._lost, self._last_lost = 0, None

    # ---- what applications ask for ----

    def add(self, group: str, member: str, joining: Joining = PLAIN) -> Awaitable[Any]:
        """Make a reply channel a member of a group."""
        if node_of(member) != self.node:
            return self.layer.request(node_of(member), ADD, member, packed(group, joining))
        channel: Named | None = self._directory.find(member)
        if channel is None:
            return DONE  # its client has left
        known = self._members.get(member)
        if known is None:
            known = self._members[member] = Member(member, channel, self._loop, self._bounds, self)
        is_new = group not in known.groups
        known.groups[group] = until = self._loop.time() + self._group_expiry
        self._expires_at = min(self._expires_at, until)
        members = self._groups.setdefault(group, {})
        is_first = not members
        members[member] = known
        if joining.history is not None:
            return self._followers.join(group, known, joining, is_new, lambda: self.layer.subscribe(group))
        if is_first:
            self._subscriptions.begin(group)
        return self._subscriptions.confirmed(group)

    def discard(self, group: str, member: str) -> Awaitable[Any]:
        """Make it a member no more."""
        if node_of(member) != self.node:
            return self.layer.request(node_of(member), DISCARD, member, group)
        known = self._members.get(member)
        if known is not None and known.groups.pop(group, None) is not None:
            self._leave(group, known)
            if not known.groups and not known.waiting:
                del self._members[member]
        return DONE

    def publish(self, group: str, content: dict[str, Any], history: History | None = None) -> Awaitable[Any]:
        """Send to all members of a group."""
        if history is not None:
            return self.layer.keep(group, content, history)
        return self.layer.publish(group, content)

    def check_history(self) -> None:
        """Raise ValueError if the layer keeps no history."""
        self.layer.check_history()

    def has_history(self, group: str) -> bool:
        """Whether a group with a history has members here. Runs on: any thread."""
        return group in self._followers

    def put(self, channel: str, content: dict[str, Any], delay: float) -> Awaitable[Any]:
        """Send to a channel, or to a reply channel."""
        if delay or not is_reply(channel):
            return self.layer.put(channel, content, delay)
        if node_of(channel) != self.node:
            return self.layer.request(node_of(channel), SEND, channel, content)
        self.on_request(SEND, channel, content)
        return DONE

    # ---- what the layer brings ----

    def on_group(self, group: str, content: Mapping[str, Any]) -> None:
        """A message has come for the members of a group."""
        members = self._groups.get(group)
        if members is not None:
            self.deliver(tuple(members.values()), content)

    def on_kept(self, group: str, epoch: str, offset: int, content: Mapping[str, Any], size: int) -> None:
        """A message has come for the members of a group with a history."""
        if not self._followers.take(group, epoch, offset, content, size):
            self.on_group(group, content)  # nobody has asked for its history here

    def on_doubt(self) -> None:
        """Messages of groups with a history may not have come."""
        self._followers.doubt()

    def on_request(self, kind: str, channel: str, content: Any) -> Awaitable[Any]:
        """A process asks something of one of our reply channels; done when it holds."""
        if kind == ADD:
            group, joining = unpacked(content)
            return self.add(group, channel, joining)
        if kind == DISCARD:
            return self.discard(content, channel)
        member = self._members.get(channel)
        if member is None:
            found: Named | None = self._directory.find(channel)
            if found is None:
                self._log.debug("A reply for %s came too late: it is closed", channel)
                return DONE
            member = self._members[channel] = Member(channel, found, self._loop, self._bounds, self)
        member.give(content)
        if not member.groups and not member.waiting:
            self._members.pop(channel, None)
        return DONE

    def on_gap(self, groups: Iterable[str] | None, missed: int | None) -> None:
        """Messages may be lost: the members of these groups are told; None for all groups.

        Those of groups with a history are given what was missed.
        """
        names = tuple(self._groups if groups is None else groups)
        self._followers.doubt(names)
        names = tuple(name for name in names if name not in self._followers)
        found = {member.name: member for name in names for member in self._groups.get(name, {}).values()}
        for member in found.values():
            member.tell_gap(missed)

    # ---- members of a group ----

    def members_of(self, group: str) -> Collection[Member]:
        """Return the members of a group that this process has."""
        return tuple(self._groups.get(group, {}).values())

    def names_in(self, group: str) -> list[str]:
        """Return their names."""
        return [member.name for member in self.members_of(group) if not member.is_gone]

    async def names(self, group: str) -> list[str]:
        """Return the names of all members of a group, of all processes. Raises: NotImplementedError, as the layer."""
        return [*self.names_in(group), *await self.layer.members(group)]

    def deliver(self, members: Collection[Member], content: Mapping[str, Any]) -> None:
        """Give a message to members; its frame is made once."""
        shared = self._share(content) if len(members) > 1 else None
        for member in members:
            if shared is not None and member.give_shared(shared):
                continue
            if member.is_gone:  # a request that was answered
                self._directory.closed(member.name)
            else:
                member.give(content)

    # ---- what members tell ----

    def on_dropped(self, count: int) -> None:
        """Messages were dropped for a member whose client is behind."""
        self._dropped += count

    def on_refused(self, name: str, error: Exception) -> None:
        """A message is none that this member could get."""
        self._log.error("A message for %s cannot be sent to it: %s", name, _told(error))

    def on_lost(self, error: BaseException) -> None:
        """A message that nobody waits for could not be sent."""
        self._lost += 1
        self._last_lost = error

    # ---- members that come and go ----

    def _leave(self, group: str, member: Member) -> None:
        members = self._groups.get(group)
        self._followers.leave(group, member.name)
        if members is not None and members.pop(member.name, None) is not None and not members:
            del self._groups[group]
            self._followers.forget(group)
            self._subscriptions.end(group)

    def _gone(self, name: str) -> None:
        member = self._members.pop(name, None)
        if member is not None:
            for group in member.groups:
                self._leave(group, member)
            member.groups.clear()

    def _expire(self, now: float) -> None:
        if now < self._expires_at:
            return
        self._expires_at = inf
        for member in tuple(self._members.values()):
            for group, until in tuple(member.groups.items()):
                if until <= now:
                    self.discard(group, member.name)
                else:
                    self._expires_at = min(self._expires_at, until)


def _told(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}"
