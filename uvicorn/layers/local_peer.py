"""One other process of a local layer: what it wants, and how it is asked. Loop thread only."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.layers.local_links import Link

__all__ = ["Peer", "wait_for_answers"]

_TOLD_SECONDS: Final = 2.0  # that one which subscribes waits for the others to know


class Peer:
    """One other process.

    Attributes:
        link: the connection on which we send; None while there is none.
        groups, channels: of which it has members, and which it consumes.
        missed: group -> messages that were dropped because it was behind.
        is_stale: it was not told of groups and channels of ours, for the same reason.
    """

    def __init__(self, node: str) -> None:
        self.node: Final = node
        self.link: Link | None = None
        self.groups: set[str] = set()
        self.channels: tuple[str, ...] = ()
        self.missed: dict[str, int] = {}
        self.has_greeted = False
        self.is_stale = False

    @property
    def takes(self) -> bool:
        """Whether it is there, and takes what is sent."""
        return self.link is not None and not self.link.is_lost and not self.link.is_behind

    def send(self, data: bytes) -> None:
        """Send a frame."""
        if self.link is not None:
            self.link.send(data)

    def ask(self, *parts: Any) -> asyncio.Future[Any]:
        """Send a frame that is answered. Raises: when awaited, ConnectionError."""
        if self.link is None or self.link.is_behind:
            future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            future.set_exception(ConnectionError("the process takes nothing"))
            future.exception()
            return future
        return self.link.ask(*parts)


async def wait_for_answers(asked: list[Any], is_strict: bool = False) -> None:
    """Wait for all answers, for a bounded time; who has left has nothing to answer."""
    if is_strict:
        for each in asked:
            await each
        return
    pending = [future for future in asked if not future.done()]
    if pending:
        await asyncio.wait(pending, timeout=_TOLD_SECONDS)
    for future in asked:
        if future.done() and not future.cancelled():
            future.exception()
