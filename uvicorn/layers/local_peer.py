"""One other process of a local layer: what it wants, and how it is asked. Loop thread only.

It may have said what it wants before there is a connection on which we send: what is for it waits until then, and what
it is asked is answered then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeAlias

from uvicorn.errors import ChannelLayerUnavailable
from uvicorn.layers.asking import SILENT, error_from
from uvicorn.layers.ending import wait_at_most, within
from uvicorn.layers.handover import DONE, Handover
from uvicorn.layers.layer import SEND
from uvicorn.layers.local_links import MOST_BEHIND, NOBODY, Link, frame

__all__ = ["Peer", "wait_for_answers"]

_TOLD_SECONDS: Final = 5.0  # that one which subscribes waits for the others to know
_CONNECTED_SECONDS: Final = 5.0  # that a question waits for a connection

#: a question that was sent: on which link, and its answer; None if there will be no link
Asked: TypeAlias = "tuple[Link, asyncio.Future[Any]] | None"


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
        self._early: list[Callable[[Link], object]] = []
        self._early_bytes = 0
        self._early_asked: list[asyncio.Future[Asked]] = []
        self._told: tuple[float, asyncio.Future[bool]] | None = None  # since when who waits for that: `when_told`

    @property
    def takes(self) -> bool:
        """Whether it is there, and takes what is sent."""
        return self.link is not None and not self.link.is_lost and not self.link.is_behind

    def on_connected(self, link: Link, hello: bytes) -> None:
        """There is a connection: what has waited for it follows our greeting."""
        self.link = link
        early, self._early, self._early_bytes, self._early_asked = self._early, [], 0, []
        link.send(hello)
        for send in early:
            send(link)
        self.tell_missed()

    def on_left(self) -> None:
        """It is gone: it has nothing to answer."""
        for asked in self._early_asked:
            if not asked.done():
                asked.set_result(None)
        self.on_told()

    def on_told(self, knows: bool = True) -> None:
        """It knows what we want: our greeting says that; or nobody shall wait for that any more."""
        told, self._told = self._told, None
        if told is not None and not told[1].done():
            told[1].set_result(knows)

    def when_told(self) -> asyncio.Future[bool]:
        """Return what is done when it knows what we want, though there is no connection yet; or when it has left.

        It is one for all who wait, and must not be cancelled. It says False if there was no connection for too long.
        """
        if self._told is None:
            loop = asyncio.get_running_loop()
            self._told = loop.time(), loop.create_future()
        return self._told[1]

    def expire(self, before: float) -> None:
        """Have nobody wait any more for what was to be told before this loop time."""
        if self._told is not None and self._told[0] < before:
            self.on_told(knows=False)

    def tell_missed(self) -> None:
        """Tell it how many messages of groups were dropped."""
        missed, self.missed = self.missed, {}
        if missed:
            self.send(frame("gap", missed))

    def _take_early(self, data: bytes, send: Callable[[Link], object] | None = None) -> bool:
        """Keep a frame until there is a connection; return False if there is no room.

        Args:
            send: what is to be done then, instead of sending it.
        """
        if self._early and self._early_bytes + len(data) > MOST_BEHIND:
            return False
        self._early.append(send or partial(Link.send, data=data))
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

    def request(
        self, on_refused: Callable[[BaseException], object], kind: str, channel: str, content: Any
    ) -> Awaitable[Any]:
        """Ask something of one of its reply channels; done when it has answered or left.

        A reply is done when it is handed over if there is no connection yet.

        Args:
            on_refused: called with what is wrong if nobody awaits it.

        Raises: ChannelLayerUnavailable if it takes nothing; when awaited, for what it says, and if it does not answer.
        """
        parts = "request", kind, channel, content
        loop = asyncio.get_running_loop()
        if self.link is not None and not self.link.is_behind:
            return Handover(loop.create_task(_wait_for_answer(self.link, self.link.ask(*parts))), on_refused)
        if self.link is None:
            data = frame(*parts, NOBODY)
            if kind == SEND and self._take_early(data):
                return DONE
            asked: asyncio.Future[Asked] = loop.create_future()
            if kind != SEND and self._take_early(data, partial(_ask, asked, parts)):
                self._early_asked.append(asked)
                return Handover(loop.create_task(_wait_for_connection(asked)), on_refused)
        raise ChannelLayerUnavailable("the worker that has the socket takes nothing")


async def wait_for_answers(asked: list[asyncio.Future[Any]]) -> set[asyncio.Future[Any]]:
    """Wait for all answers, for a bounded time; return those that have not come.

    Who has left has nothing to answer.
    """
    return await wait_at_most(_TOLD_SECONDS, asked)


def _ask(asked: asyncio.Future[Asked], parts: tuple[Any, ...], link: Link) -> None:
    """There is a connection: ask what has waited for it."""
    answer = link.ask(*parts)
    if not asked.done():
        asked.set_result((link, answer))


async def _wait_for_connection(asked: asyncio.Future[Asked]) -> None:
    """Wait for a connection and then for an answer, both for a bounded time."""
    try:
        found = await within(_CONNECTED_SECONDS, asked)
    except asyncio.TimeoutError:
        raise ChannelLayerUnavailable(SILENT, was_sent=True) from None
    if found is not None:
        await _wait_for_answer(*found)


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
