"""A response that has files in it: what of it waits, and the next piece of it. Loop thread only.

    Exchange.reply -> Feed.add          with the first reply that has a file, and until the last one is sent
    Feed -> FilePart.read, Exchange.emit                 over HTTP/2 and TLS: read, and written as content
    Feed -> Transfer.send (file_transfer.py)             over a plain connection: the system copies by itself

A feed is to its exchange what a consumer is that streams: it sends the next piece when the client has caught up and it
is the exchange's turn, and lets others have the loop in between. So order, back-pressure and windows are those of
content. All feeds together have a budget in each turn (`file_turns.py`). What is not in memory is read by a thread
(`bridge/file_reader.py`); the loop never waits for the disk.

An exchange without a file has no feed. A feed ends with the last reply that it has, with its exchange, or when the file
cannot be read: then the response is broken off, or answered with 500 if it has not begun.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any, Final, Protocol

from uvicorn.bridge.files import FilePart, FileShrank
from uvicorn.connections.carrier import Carrier
from uvicorn.connections.file_transfer import WINDOW, Transfer, may_transfer
from uvicorn.wire.reply import BODILESS, NO_FIELDS, Fields, Reply

__all__ = ["Feed"]

_PIECE: Final = 65536  # bytes that are read and written at once; arbitrary
_FAR_PIECE: Final = 262144  # bytes that a thread reads at once, where no carrier cuts them into frames; arbitrary
_TURN: Final = 262144  # bytes of a response in one turn of the loop, so that others are served; arbitrary
_MOST_REPLIES: Final = 256  # that wait, each perhaps with a file that is open: arbitrary, beyond it nobody awaits


class Fed(Protocol):
    """What a feed needs of its exchange."""

    carrier: Carrier
    feed: Feed | None
    is_chunked: bool
    is_closed: bool
    is_head: bool
    sent_bytes: int
    status: int

    @property
    def consumer_name(self) -> str:
        """How logs call the consumer."""

    @property
    def shown_line(self) -> str:
        """Method and request target, safe to log."""

    def emit(self, status: int, fields: Fields, content: bytes, more: bool) -> None:
        """Write a part of the response."""

    def answer(self, status: int, detail: str = "", retry_after: int = 0, persists: bool = False) -> None:
        """Make a response of the server's own; close the connection if one has begun already."""


class Feed:
    """What is still to be sent of one response.

    Attributes:
        is_whole: the last reply is here: nothing more is wanted of the consumer.
        size: bytes of content that wait.
    """

    __slots__ = (
        "_carrier", "_data", "_exchange", "_has_begun", "_is_framed", "_is_queued", "_is_waiting", "_replies",
        "_transfer", "_turns", "is_whole", "size",
    )  # fmt: skip

    def __init__(self, exchange: Fed) -> None:
        self._exchange = exchange
        self._carrier = exchange.carrier
        self._replies: deque[Reply] = deque()
        self._data: bytes | None = None  # the next piece, read by a thread
        self._has_begun = False  # something of the first reply was sent
        self._is_framed = False  # it is in a chunk of its own
        self._is_waiting = False  # somebody will call: the client's gate, its socket, a reader, the loop
        self._turns = exchange.carrier.service.file_turns
        self._is_queued = False  # in them
        self._transfer: Transfer | None = Transfer(exchange.carrier) if may_transfer(exchange.carrier) else None
        self.is_whole = False
        self.size = 0

    def add(self, reply: Reply) -> None:
        """Send a reply behind what waits."""
        if self._replies and reply[0]:  # a thread and a coroutine sent a first reply at the same time
            return
        self._replies.append(reply)
        self.size += len(reply[2])
        self.is_whole = self.is_whole or not reply[3]
        if not self._is_waiting:
            self._run()

    def is_flooded(self, most: int) -> bool:
        """Whether so much waits that a reply must be refused; `most` bytes of content may."""
        return self.size > most or len(self._replies) > _MOST_REPLIES

    def stop(self) -> None:
        """Let go of what is not sent: the exchange is over."""
        self._replies.clear()
        self._data = None
        self._exchange.feed = None
        if self._transfer is not None:
            self._transfer.close()
            self._transfer = None

    # ---- the next piece ----

    def work(self) -> None:
        """Go on: it is this response's turn among all that have files."""
        self._is_queued = False
        self._run()

    def _run(self, _: object = None) -> None:
        """Send what can be sent now."""
        if self._is_queued:  # the socket takes more, but it is not our turn
            return
        self._is_waiting = False
        if self._exchange.feed is not self:
            return
        try:
            left = _TURN
            while self._replies:
                if not self._carrier.gate.is_open or not self._carrier.is_first(self._exchange):
                    self._wait_for_gate()
                    return
                if not self._turns.admits(self):
                    self._is_waiting = self._is_queued = True
                    return
                size = self._send_next()
                self._turns.spend(size)
                if self._is_waiting or not self._replies:
                    break
                left -= size
                if left <= 0:
                    self._is_waiting = True
                    if self._transfer is None or not self._transfer.is_watching:  # or the socket calls
                        self._carrier.service.loop.call_soon(self._run)
                    return
            if not self._replies and self._exchange.feed is self:
                self._end()
        except Exception:  # a mistake of ours; half a response may be written
            self._carrier.service.log.error("Error in the response to %s", self._exchange.shown_line, exc_info=True)
            self._carrier.abort()

    def _send_next(self) -> int:
        """Send a piece of the first reply; return its size. It may have to wait instead."""
        status, fields, content, more = self._replies[0]
        part = fields.file
        exchange = self._exchange
        if part is None or exchange.is_head or (status or exchange.status) in BODILESS:
            self._pop()
            exchange.emit(status, fields, content, more)
            return len(content)
        try:
            if self._transfer is not None:
                return self._transfer_next(self._transfer, part)
            return self._copy_next(part)
        except (OSError, FileShrank) as error:
            self._fail(part, error)
            return 0

    def _copy_next(self, part: FilePart) -> int:
        data, self._data = self._data, None
        if data is None:
            if part.left and not part.is_at_hand(_PIECE):
                self._have_done(partial(part.read, _PIECE if self._carrier.frames_content else _FAR_PIECE))
                return 0
            data = part.read(_PIECE)
        if self._is_framed:
            self._carrier.write(data)
            self._exchange.sent_bytes += len(data)
            if not part.left:
                self._end_part()
            return len(data)
        status, fields, _, more = self._replies[0]
        if self._has_begun:
            status, fields = 0, fields.declaring(False, fields.trailers) if fields.trailers else NO_FIELDS
        else:
            self._has_begun = True
            fields = _first(fields, len(data) + part.left, not more)
        if part.left:
            self._exchange.emit(status, fields if status else NO_FIELDS, data, True)
        else:
            self._pop()
            self._exchange.emit(status, fields, data, more)
        return len(data)

    def _transfer_next(self, transfer: Transfer, part: FilePart) -> int:
        most = part.look_ahead(WINDOW)
        if part.left and not most:
            transfer.rest()
            self._have_done(partial(part.warm, WINDOW))
            return 0
        if not self._has_begun:
            self._begin_part(part)
        if not part.left:
            self._end_part()
            return 0
        if not transfer.is_clear():
            self._wait_for_gate()
            return 0
        sent = transfer.send(part, most)
        if sent < 0:  # not this file, or not to this client: what is wrong will be seen when it is copied
            self._copy_from_here(transfer)
            return 0
        self._exchange.sent_bytes += sent
        if not part.left:
            self._end_part()
        elif transfer.is_full:
            self._is_waiting = transfer.wait(self._run)
            if not self._is_waiting:
                self._copy_from_here(transfer)
        return sent

    def _copy_from_here(self, transfer: Transfer) -> None:
        transfer.close()
        self._transfer = None

    def _begin_part(self, part: FilePart) -> None:
        """Write what comes before the bytes of a part."""
        status, fields, _, more = self._replies[0]
        self._has_begun = True
        exchange = self._exchange
        if status:
            exchange.emit(status, _first(fields, part.left, not more), b"", True)
        if exchange.is_chunked and part.left:
            self._is_framed = True
            self._carrier.write(b"%x\r\n" % part.left)

    def _end_part(self) -> None:
        """Write what comes behind the bytes of a part."""
        _, fields, _, more = self._replies[0]
        if self._is_framed:
            self._carrier.write(b"\r\n")
        if self._transfer is not None:
            self._transfer.rest()
        self._pop()
        if not more:
            self._exchange.emit(0, fields.declaring(False, fields.trailers), b"", False)

    def _pop(self) -> None:
        reply = self._replies.popleft()
        self.size -= len(reply[2])
        self._has_begun = self._is_framed = False

    # ---- waiting ----

    def _wait_for_gate(self) -> None:
        self._is_waiting = True
        if self._transfer is not None:
            self._transfer.rest()
        self._carrier.gate.wait(self._run)

    def _have_done(self, work: Any) -> None:
        """Have a thread wait for the disk."""
        self._is_waiting = True
        self._carrier.service.files.run(work, self._on_done)

    def _on_done(self, result: Any) -> None:
        """Go on with what a thread has read, if there is still anything to do."""
        if not self._replies:  # the exchange is over
            return
        if isinstance(result, Exception):
            self._fail(self._replies[0][1].file, result)
            return
        self._data = result
        self._run()

    # ---- the end ----

    def _fail(self, part: FilePart, error: Exception) -> None:
        """Break off: the file cannot be read."""
        exchange = self._exchange
        self._carrier.service.log.error(
            "%s cannot send the file %s: %s: %s", exchange.consumer_name, part.name, error, exchange.shown_line
        )
        self.stop()
        exchange.answer(500, persists=True)

    def _end(self) -> None:
        """Nothing waits any more, and more may come."""
        self.stop()
        gate = self._carrier.gate
        if gate.is_open and gate.waiters:
            gate.open()


def _first(fields: Fields, size: int, is_all: bool) -> Fields:
    """Return the fields of a first reply: without the file, and with its size if this is all of the response."""
    if is_all and not fields.trailers:
        return fields.sized(size)
    return fields.declaring(fields.is_slow, fields.trailers)
