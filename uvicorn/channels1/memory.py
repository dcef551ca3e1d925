"""The layer of tests: a dictionary, without threads, processes or a server."""

from __future__ import annotations

import copy
import secrets
import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from uvicorn.channels1.names import NAMES, is_name
from uvicorn.errors import ChannelFull

__all__ = ["ChannelLayer", "channel_layer"]

Received = tuple[Any, Any]


class ChannelLayer:
    """A layer in memory: a test sends, and takes out what was sent.

    Args:
        expiry: seconds until a message is dropped.
        group_expiry: seconds until a member leaves its group.
        capacity: messages that a channel holds.
        channel_capacity: has no effect.

    Attributes:
        keeps_order: False: a test may send what it likes.
    """

    ChannelFull = ChannelFull
    extensions: ClassVar[list[str]] = ["groups", "flush"]
    keeps_order = False

    def __init__(
        self, expiry: float = 60, group_expiry: float = 86400, capacity: int = 10, channel_capacity: Any = None
    ) -> None:
        self.expiry = expiry
        self.group_expiry = group_expiry
        self.capacity = capacity
        self._channels: dict[str, deque[tuple[float, str, dict[str, Any]]]] = {}
        self._groups: dict[str, dict[str, float]] = {}

    def check(self, name: str, message: Mapping[str, Any], of_group: bool = False) -> None:
        """Check what a later `send` or `send_group` gets. Raises: TypeError for a wrong name."""
        _check(name, of_group)

    def send(self, channel: str, message: Mapping[str, Any]) -> None:
        """Put a message into a channel. Raises: ChannelFull; TypeError for a wrong name."""
        _check(channel)
        self._expire()
        queue = self._channels.setdefault(_shared(channel), deque())
        if len(queue) >= self.capacity:
            raise ChannelFull(f"{channel} has {self.capacity} messages already")
        queue.append((time.monotonic() + self.expiry, channel, copy.deepcopy(dict(message))))

    def receive(self, channels: Iterable[str], block: bool = False) -> Received:
        """Take a message out of one of these channels.

        Returns: the channel and the content, or None twice: it does not wait.
        """
        self._expire()
        for channel in channels:
            _check(channel)
            queue = self._channels.get(_shared(channel))
            if queue:
                _, name, message = queue.popleft()
                return name, message
        return None, None

    receive_many = receive

    def new_channel(self, pattern: str) -> str:
        """Return a new name for a channel; `pattern` ends with "?" or "!"."""
        return pattern + secrets.token_hex(4)

    def group_add(self, group: str, channel: str) -> None:
        """Put a channel into a group."""
        _check(group, of_group=True)
        _check(channel)
        self._groups.setdefault(group, {})[channel] = time.monotonic() + self.group_expiry

    def group_discard(self, group: str, channel: str) -> None:
        """Take a channel out of a group."""
        members = self._groups.get(group, {})
        members.pop(channel, None)
        if not members:
            self._groups.pop(group, None)

    def group_channels(self, group: str) -> list[str]:
        """Return the channels of a group."""
        self._expire()
        return list(self._groups.get(group, ()))

    def send_group(self, group: str, message: Mapping[str, Any]) -> None:
        """Put a message into all channels of a group that have room."""
        _check(group, of_group=True)
        for channel in self.group_channels(group):
            try:
                self.send(channel, message)
            except ChannelFull:
                pass

    def flush(self) -> None:
        """Forget everything."""
        self._channels.clear()
        self._groups.clear()

    def _expire(self) -> None:
        now = time.monotonic()
        for queue in self._channels.values():
            while queue and queue[0][0] <= now:
                queue.popleft()
        for group, members in list(self._groups.items()):
            self._groups[group] = {channel: end for channel, end in members.items() if end > now}


channel_layer = ChannelLayer()


def _shared(channel: str) -> str:
    """Return the queue of a channel: those of one process share what stands before the "!"."""
    return channel.partition("!")[0] + "!" if "!" in channel else channel


def _check(name: object, of_group: bool = False) -> None:
    if not is_name(name, of_group):
        raise TypeError(f"{name!r} is no name of a {'group' if of_group else 'channel'}: {NAMES}")
