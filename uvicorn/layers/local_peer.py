"""One other process of a local layer: what it wants, and how it is asked. Loop thread only.

It may have said what it wants before there is a connection on which we send: what is for it waits until then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from uvicorn.errors import ChannelLayerUnavailable
from uvicorn.layers.asking import SILENT, error_from
from uvicorn.layers.ending import wait_at_most
from uvicorn.layers.handover import DONE, Handover
from uvicorn.layers.local_links import MOST_BEHIND, NOBODY, Link, frame

__all__ = ["Peer", "wait_for_answers"]

_TOLD_SECONDS: Final = 5.0  # that one which subscribes waits for the others to know


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
        self._early: list[bytes] = []
        self._early_bytes = 0

    @property
    def takes(self) -> bool:
        """Whether it is there, and takes what is sent."""
        return self.link is not None and not self.link.is_lost and not self.link.is_behind

    def on_connected(self, link: Link, hello: bytes) -> None:
        """There is a connection: what has waited for it follows our greeting."""
        self.link = link
        early, self._early, self._early_bytes = self._early, [], 0
        for data in (hello, *early):
            link.send(data)
        self.tell_missed()

    def tell_missed(self) -> None:
        """Tell it how many messages of groups were dropped."""
        missed, self.missed = self.missed, {}
        if missed:
            self.send(frame("gap", missed))

    def _take_early(self, data: bytes) -> bool:
        """Keep a frame until there is a connection; return False if there is no room."""
        if self._early and self._early_bytes + len(data) > MOST_BEHIND:
            return False
        self._early.append(data)
        self._early_bytes += len(data)
        return True

    def publish(self, group: str, data: bytes) -> None:
        """Send a message of a group; what it cannot take is counted."""
        if self.link is not None and not self.link.is_behind:
            self.link.send(data)
        elif self.link is not None or not self._take_early(data):
            self.missed[group] = self.missed.get(group, 0) + 1

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

    def request(self, on_refused: Callable[[BaseException], object], *parts: Any) -> Awaitable[Any]:
        """Send a frame; done when it has answered or left.

        Args:
            on_refused: called with what is wrong if nobody awaits it.

        Raises: ChannelLayerUnavailable if it takes nothing; when awaited, for what it says, and if it does not answer.
        """
        if self.link is None and self._take_early(frame(*parts, NOBODY)):
            return DONE
        if self.link is None or self.link.is_behind:
            raise ChannelLayerUnavailable("the worker that has the socket takes nothing")
        waiting = asyncio.get_running_loop().create_task(_wait_for_answer(self.link, self.link.ask(*parts)))
        return Handover(waiting, on_refused)


async def wait_for_answers(asked: list[asyncio.Future[Any]]) -> set[asyncio.Future[Any]]:
    """Wait for all answers, for a bounded time; return those that have not come.

    Who has left has nothing to answer.
    """
    return await wait_at_most(_TOLD_SECONDS, asked)


async def _wait_for_answer(link: Link, asked: asyncio.Future[Any]) -> None:
    """Wait for an answer, as long as the link does."""
    try:
        error = await asked
    except ConnectionError:
        if link.is_lost:
            return  # it has left
        raise ChannelLayerUnavailable(SILENT, was_sent=True) from None
    if error is not None:
        raise error_from(error)
