"""Connections between the processes of a local layer: frames of msgpack behind their length. Loop thread only.

Each process opens one connection to each other one, and sends on that; what it is asked it answers on the connection
on which it was asked. So the order of what one process sends is kept, and two that find each other at the same time are
no special case.

*Bounded.* A peer that takes nothing (it was stopped, or its loop is blocked) is `behind` when so much waits for it;
whoever sends looks, and drops or goes elsewhere.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any, Final, Protocol

from uvicorn.layers.encoding import MOST_BYTES, pack, unpack
from uvicorn.layers.local_place import is_ours

__all__ = ["ANSWER", "MOST_BEHIND", "NOBODY", "Link", "Owner", "answer", "frame"]

ANSWER: Final = "answer"
NOBODY: Final = 0  # in the place of a question's number: nobody waits for the answer
MOST_BEHIND: Final = 16 * 1024 * 1024  # bytes that wait for a peer; arbitrary
_HEAD: Final = struct.Struct("!I")
_SLACK: Final = 4096  # bytes: what a frame has beside its message


def frame(*parts: Any) -> bytes:
    """Return the bytes of a frame.

    Raises: TypeError, ValueError for what cannot be encoded.
    """
    data = pack(parts)
    return _HEAD.pack(len(data)) + data


class Owner(Protocol):
    """What takes what comes."""

    def on_frame(self, link: Link, parts: list[Any]) -> None:
        """A frame has come: a kind, and what belongs to it."""

    def on_lost(self, link: Link) -> None:
        """The connection is gone."""

    def on_behind(self, link: Link) -> None:
        """The other end has stopped to take what is sent, or has caught up; look at `is_behind`."""


class Link(asyncio.Protocol):
    """One connection.

    Attributes:
        node: the other end's name, when it has said it; "" for a program that only sends.
        is_behind: too much waits for the other end.
        is_unreadable: the other end has sent something that is no frame, or none that we know.
    """

    def __init__(self, owner: Owner, node: str | None = None) -> None:
        self.node = node
        self.is_behind = False
        self.is_lost = False
        self.is_unreadable = False
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._asked: dict[int, tuple[float, asyncio.Future[Any]]] = {}  # since when, loop time; the oldest first
        self._number = 0
        self._late = 0  # the last question that was late at the last look

    def send(self, data: bytes) -> None:
        """Send a frame; it is dropped if the connection is gone."""
        if self._transport is not None and not self.is_lost:
            self._transport.write(data)

    def ask(self, *parts: Any) -> asyncio.Future[Any]:
        """Send a frame that is answered; return the answer's future.

        Raises: when awaited, ConnectionError if the connection is lost before; at once TypeError, ValueError.
        """
        self._number += 1
        data = frame(*parts, self._number)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if self.is_lost or self._transport is None:
            _fail(future, "the process has left")
            return future
        self._asked[self._number] = loop.time(), future
        self._transport.write(data)
        return future

    def expire(self, before: float) -> None:
        """Wait no longer for answers to what was asked before this loop time, and was late at the last look, too.

        At one look alone it may be this process that was held up: the answer has come, and was not read yet.
        """
        late = 0
        for number, (since, future) in tuple(self._asked.items()):
            if since >= before:
                break
            late = number
            if number <= self._late:
                del self._asked[number]
                _fail(future, "the process does not answer")
        self._late = late

    def close(self) -> None:
        """Close when all is sent."""
        if self._transport is not None:
            self._transport.close()

    def cut(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    # ---- called by the loop ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Check who it is."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's classes are none of asyncio's
        if not is_ours(transport.get_extra_info("socket")):
            self.is_lost = True
            self.cut()
            return
        transport.set_write_buffer_limits(MOST_BEHIND, MOST_BEHIND // 4)  # type: ignore[attr-defined]  # as above

    def data_received(self, data: bytes) -> None:
        """Take in frames."""
        buffer = self._buffer
        buffer += data
        at, end = 0, len(buffer)
        while end - at >= _HEAD.size and not self.is_lost:
            (size,) = _HEAD.unpack_from(buffer, at)
            if size > MOST_BYTES + _SLACK:
                self._refuse()
                return
            if end - at - _HEAD.size < size:
                break
            at += _HEAD.size + size
            try:
                parts = unpack(bytes(buffer[at - size : at]))
                self._take(parts)
            except (ValueError, TypeError, IndexError, KeyError):  # it speaks another language
                self._refuse()
                return
        if at:
            del buffer[:at]

    def pause_writing(self) -> None:
        """The other end takes nothing."""
        self.is_behind = True
        self._owner.on_behind(self)

    def resume_writing(self) -> None:
        """The other end has caught up."""
        self.is_behind = False
        self._owner.on_behind(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: who waits for an answer is told."""
        self.is_lost = True
        asked, self._asked = self._asked, {}
        for _, future in asked.values():
            _fail(future, "the process has left")
        self._owner.on_lost(self)

    def _refuse(self) -> None:
        self.is_unreadable = True
        self.cut()

    def _take(self, parts: Any) -> None:
        if parts[0] == ANSWER:
            _, future = self._asked.pop(parts[1], (0.0, None))
            if future is not None and not future.done():
                future.set_result(parts[2])
        else:
            self._owner.on_frame(self, parts)


def _fail(future: asyncio.Future[Any], reason: str) -> None:
    if not future.done():
        future.set_exception(ConnectionError(reason))
        future.exception()  # somebody may not look


def answer(link: Link, number: int, result: Any) -> None:
    """Answer what was asked."""
    link.send(frame(ANSWER, number, result))


#: makes the protocol of a connection
Factory = Callable[[], Link]
