"""The members of groups that this process has: reply channels, and what waits for each. Loop thread only.

A message goes to a member at once if its client has caught up with what was sent before, and nothing waits. Otherwise
it waits in the member's backlog, until the channel says that the client has caught up. So a slow member costs its own
backlog, which is bounded, and neither the sender nor other members.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from uvicorn.errors import ChannelClosed, ChannelFull
from uvicorn.layers.backlog import Backlog, Bounds

__all__ = ["Member", "Named", "Teller"]


class Named(Protocol):
    """A reply channel, as the directory of the worker has it."""

    @property
    def closed(self) -> bool:
        """Whether it takes nothing any more."""

    @property
    def is_writable(self) -> bool:
        """Whether the client has caught up."""

    def send(self, reply: Mapping[str, Any]) -> Any:
        """Send one reply."""

    def send_shared(self, message: Any) -> bool:
        """Send a reply that was prepared for many; return False if it cannot be sent so, or not now."""

    def when_changed(self, callback: Callable[[], None]) -> None:
        """Call back once, when the client has caught up or left."""

    def give_up(self, reason: str) -> None:
        """Close: the client is too slow."""

    def tell_gap(self, missed: int | None) -> None:
        """Call the consumer that is routed to `websocket.gap`, if there is one."""


class Teller(Protocol):
    """What a member tells of."""

    def on_dropped(self, count: int) -> None:
        """Messages were dropped for a member whose client is behind."""

    def on_refused(self, name: str, error: Exception) -> None:
        """A message is none that this member could get."""


class Member:
    """One reply channel that is in groups, or that others reply to by its name.

    Attributes:
        groups: group -> loop time until which it is a member.
    """

    __slots__ = ("_backlog", "_bounds", "_channel", "_is_watching", "_loop", "_teller", "groups", "name")

    def __init__(
        self, name: str, channel: Named, loop: asyncio.AbstractEventLoop, bounds: Bounds, teller: Teller
    ) -> None:
        self.name: Final = name
        self.groups: Final[dict[str, float]] = {}
        self._channel = channel
        self._loop = loop
        self._bounds = bounds
        self._teller = teller
        self._backlog: Backlog | None = None  # most never need one
        self._is_watching = False

    @property
    def is_gone(self) -> bool:
        """Whether its channel takes nothing any more."""
        return self._channel.closed

    @property
    def waiting(self) -> int:
        """How many messages wait for its client."""
        return len(self._backlog) if self._backlog is not None else 0

    def give_shared(self, message: Any) -> bool:
        """Send it a message that was prepared for many, if nothing waits; return False if it is to be given otherwise.

        It asks the channel once: most members of most groups can take a message at once.
        """
        if self._backlog:
            return False
        try:
            return self._channel.send_shared(message)
        except Exception as error:
            self._teller.on_refused(self.name, error)
            return True

    def give(self, content: Mapping[str, Any]) -> None:
        """Send it a message, or let it wait."""
        channel = self._channel
        if not self._backlog and channel.is_writable:
            self._send(content)
            return
        if self._backlog is None:
            self._backlog = Backlog(self._bounds)
        backlog = self._backlog
        before = backlog.missed
        if not backlog.add(content, self._loop.time()):
            backlog.clear()
            self._teller.on_dropped(1)
            channel.give_up("the client is behind with the messages of groups")
            return
        if backlog.missed > before:
            self._teller.on_dropped(backlog.missed - before)
        self._watch()

    def give_again(self, content: Mapping[str, Any]) -> None:
        """Send it a message of the past, or let it wait.

        How much that is, the history bounds; and so it does not count for what the member may be behind.
        """
        if not self._backlog and self._channel.is_writable:
            self._send(content)
            return
        if self._backlog is None:
            self._backlog = Backlog(self._bounds)
        self._backlog.add(content, self._loop.time(), counts=False)
        self._watch()

    def tell_gap(self, missed: int | None) -> None:
        """Messages for it may be lost: its consumer is told, if it wants to be."""
        if not self._channel.closed:
            self._channel.tell_gap(missed)

    def _watch(self) -> None:
        if not self._is_watching:
            self._is_watching = True
            self._channel.when_changed(self._caught_up)

    def _caught_up(self) -> None:
        """The client has caught up, or left: what waits goes out as far as it takes it."""
        self._is_watching = False
        channel, backlog = self._channel, self._backlog
        if backlog is None:
            return
        if channel.closed:
            backlog.clear()
            return
        before = backlog.missed
        while channel.is_writable and (content := backlog.take(self._loop.time())) is not None:
            self._send(content)
            if channel.closed:
                backlog.clear()
                return
        if backlog.missed > before:
            self._teller.on_dropped(backlog.missed - before)
        if len(backlog):
            self._watch()
        elif backlog.missed:
            missed, backlog.missed = backlog.missed, 0
            channel.tell_gap(missed)

    def _send(self, content: Mapping[str, Any]) -> None:
        try:
            self._channel.send(content)
        except (ChannelClosed, ChannelFull):  # it has left just now, or is cut for being slow
            pass
        except Exception as error:
            self._teller.on_refused(self.name, error)
