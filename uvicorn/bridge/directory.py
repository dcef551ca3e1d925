"""The reply channels of a worker that somebody may know by name.

Theory of operation
-------------------
A reply channel has a name that no other one has, in any process: its kind, the worker's own name (`node`) and a number.
Whoever reads `reply_channel.name` may pass it on, and others may then reply by that name. So a channel whose name
was read is *kept* here, until it is closed: the lifetime rule of `channels.py` does not hold for it any more, and a
consumer that passed its channel on and returned is not answered for with 500.

Any thread reads names; one assignment in a dictionary keeps a channel. The loop alone looks channels up and lets them
go: sockets say that they are closed, requests are looked at once a second (`tick`). A thread that keeps a channel that
was closed at that very moment leaves it for the next tick.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final, Protocol

__all__ = ["Directory", "Named"]

_numbers = count(1)


class Named(Protocol):
    """A reply channel."""

    @property
    def closed(self) -> bool:
        """Whether it takes nothing any more."""

    @property
    def is_writable(self) -> bool:
        """Whether the client has caught up. Runs on: the loop."""

    def send(self, reply: Mapping[str, Any]) -> Any:
        """Send one reply."""

    def when_changed(self, callback: Callable[[], None]) -> None:
        """Call back once, when the client has caught up or left. Runs on: the loop."""


class Directory:
    """The named reply channels of one worker.

    Attributes:
        node: the worker's own name, in all names that it gives; letters and digits.
        on_gone: called on the loop with the name of each kept channel that is closed.
    """

    def __init__(self) -> None:
        self.node: Final = os.urandom(6).hex()
        self.on_gone: Callable[[str], object] = _nothing
        self._kept: dict[str, Named] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def new_name(self, kind: str) -> str:
        """Make a name for a channel of a kind: "http.response" or "websocket.send". Runs on: any thread."""
        return f"{kind}!{self.node}.{next(_numbers)}"

    def keep(self, name: str, channel: Named) -> None:
        """Hold a channel until it is closed: somebody knows its name. Runs on: any thread."""
        self._kept[name] = channel

    def find(self, name: str) -> Named | None:
        """Return the channel of this name, if it is kept and not closed. Runs on: the loop."""
        channel = self._kept.get(name)
        return None if channel is None or channel.closed else channel

    def closed(self, name: str) -> None:
        """Let go of a channel, if it is kept. Runs on: the loop."""
        if self._kept.pop(name, None) is not None:
            self.on_gone(name)

    def tick(self) -> None:
        """Let go of what was closed without a word: the channels of requests. Runs on: the loop, once a second."""
        for name, channel in tuple(self._kept.items()):
            if channel.closed:
                self.closed(name)


def _nothing(name: str) -> None:
    """Nobody wants to know."""
