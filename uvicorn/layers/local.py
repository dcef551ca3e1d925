"""The local layer: messages between the processes of one machine, with nothing installed."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from uvicorn.layers.encoding import pack
from uvicorn.layers.handover import DONE
from uvicorn.layers.layer import Receiver

__all__ = ["LocalLayer"]


class LocalLayer:
    """Messages within one process."""

    def __init__(self, url: str) -> None:
        self.name = url
        self._receiver: Receiver | None = None
        self._groups: set[str] = set()

    async def start(self, receiver: Receiver) -> None:
        """Begin to carry messages."""
        self._receiver = receiver

    async def stop(self) -> None:
        """Leave."""
        self._receiver = None

    def tick(self) -> None:
        """Do once a second what depends on time."""

    def subscribe(self, group: str) -> Awaitable[Any]:
        """Have the messages of a group come."""
        self._groups.add(group)
        return DONE

    def unsubscribe(self, group: str) -> None:
        """Have them come no more."""
        self._groups.discard(group)

    def publish(self, group: str, content: dict[str, Any]) -> Awaitable[Any]:
        """Send to all processes that have subscribed to a group."""
        pack(content)
        if self._receiver is not None and group in self._groups:
            self._receiver.on_group(group, content)
        return DONE

    def request(self, node: str, kind: str, channel: str, content: Any) -> Awaitable[Any]:
        """Ask something of another process: there is none."""
        return DONE

    def put(self, channel: str, content: dict[str, Any], delay: float) -> Awaitable[Any]:
        """Send to one of the processes that consume a channel."""
        raise NotImplementedError
