"""The response of one exchange: written as it comes, or kept back while it is not its turn. Loop thread only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from uvicorn.bridge.consumer import Consumer
from uvicorn.connections.attendants import Attended
from uvicorn.connections.carrier import Carrier
from uvicorn.connections.file_feed import Feed
from uvicorn.connections.flow import FLOOD_FACTOR
from uvicorn.connections.numbers import CLIENT_LEFT
from uvicorn.wire.encoder import chunk, error_page, last_chunk
from uvicorn.wire.reply import BODILESS, NO_FIELDS, Fields, Reply
from uvicorn.wire.request_line import RequestLine

__all__ = ["Response"]

_JOIN_BYTES: Final = 16384  # arbitrary: a body above this is written by itself instead of copied


class Response:
    """What was written of the response to one request, and what waits to be.

    Args:
        carrier: what carries it.
        persists: the client wants the connection kept (RFC 9112 section 9.3).
        now: loop time, seconds.
    """

    __slots__ = (
        "_held", "active_at", "attended", "carrier", "consumer", "feed", "fields", "is_chunked", "is_closed", "is_head",
        "is_lost", "is_request_complete", "is_stopping", "persists", "request_line", "sent_bytes", "status",
    )  # fmt: skip

    def __init__(self, carrier: Carrier, request_line: RequestLine, persists: bool, now: float) -> None:
        self.carrier = carrier
        self.request_line = request_line
        self.is_head = request_line.is_head
        self.persists = persists
        self.active_at = now  # when the consumer was called, or last sent something
        self.attended: Attended | None = None  # set at once, if anything goes with the request
        self.status = 0  # 0 until the response has begun
        self.fields = NO_FIELDS
        self.sent_bytes = 0  # of content, without framing
        self.is_request_complete = False
        self.is_closed = False
        self.is_lost = False
        self.is_stopping = False
        self.is_chunked = False
        self.consumer: Consumer | None = None  # set when it is called, or queued
        self._held: _Held | None = None  # written when the exchange is first
        self.feed: Feed | None = None  # while a file is on its way, with all that follows it

    @property
    def write_buffer(self) -> int:
        """How many bytes may wait for the client before a sender has to."""
        return self.carrier.service.limits.write_buffer

    @property
    def consumer_name(self) -> str:
        """How logs call the consumer."""
        return self.consumer.name if self.consumer is not None else "no consumer"

    @property
    def shown_line(self) -> str:
        """Method and request target, safe to log."""
        return self.request_line.shown

    def reply(self, reply: Reply) -> bool | None:
        """Write one checked reply; do nothing if the exchange is closed.

        Returns: True if a complete reply was written and the client has caught up; else ask `is_writable`.

        The sequence was checked in the sender's thread. Two threads that reply to one
        message at the same time through two channels of theirs cannot exist: there is one channel.
        """
        if self.is_closed:
            return None
        status, fields, content, more = reply
        carrier = self.carrier
        try:
            if status and self.attended is not None:
                fields = self.attended.added_to(fields)
            if (
                status
                and not more
                and self.is_request_complete
                and self.persists
                and self.request_line.is_usual
                and fields.is_simple()
                and status not in BODILESS
                and len(content) <= _JOIN_BYTES
                and carrier.is_plain()
                and carrier.is_first(self)
            ):
                # The shortest way, and the most frequent one: a complete response on a connection that is kept.
                self.status = status
                self.fields = fields
                self.sent_bytes = len(content)
                self.is_closed = True
                carrier.service.numbers.answered(status)
                encoder = carrier.service.encoder
                return carrier.finish(self, encoder.whole(status, fields, content))
            if self.feed is None and fields.file is None:
                self._reply(status, fields, content, more)
            else:
                if self.feed is None:
                    self.feed = Feed(self)
                self.feed.add((status, fields, content, more))
        except Exception:  # a mistake of ours; half a response may be written
            carrier.service.log_of(self).error("Error in the response to %s", self.shown_line, exc_info=True)
            carrier.abort()
        return None

    def _reply(self, status: int, fields: Fields, content: bytes, more: bool) -> None:
        if status and self.status:  # a thread and a coroutine sent a first reply at the same time: see channels.py
            return
        if self.carrier.frames_content:
            self._send(status, fields, content, more)
        elif status:
            self._begin(status, fields, content, more)
        elif self.status in BODILESS or self.is_head:
            pass
        elif self.is_chunked:
            if content:
                self._write(chunk(content))
            if not more:
                self._write((last_chunk(fields.trailers),))
            self.sent_bytes += len(content)
        elif content:
            self._write((content,))
            self.sent_bytes += len(content)
        if more:
            self.active_at = self.carrier.service.now
        else:
            self._close()

    def emit(self, status: int, fields: Fields, content: bytes, more: bool) -> None:
        """Write a part of the response whose turn it is: what a feed has kept."""
        self._reply(status, fields, content, more)

    def _send(self, status: int, fields: Fields, content: bytes, more: bool) -> None:
        """Hand a part of the response to a carrier that frames it."""
        if status:
            self.status = status
            self.fields = fields
        if not self.is_head and self.status not in BODILESS:
            self.sent_bytes += len(content)
        self.carrier.send(self, status, fields, content, more)

    def _begin(self, status: int, fields: Fields, content: bytes, more: bool) -> None:
        carrier = self.carrier
        self.status = status
        self.fields = fields
        carrier.service.numbers.answered(status)
        has_body = not self.is_head and status not in BODILESS
        length: int | None = None
        has_trailers = not more and fields.trailers != b"" and has_body and not self.request_line.is_http10
        if not more and (not has_trailers or fields.content_length is not None):
            if status not in BODILESS and (content or not self.is_head):  # a HEAD may leave out what it does not know
                length = len(content)
        elif fields.content_length is None and has_body:
            if self.request_line.is_http10:
                self.persists = False  # the end of the connection is the end of the body
            else:
                self.is_chunked = True
                length = -1
        if (
            fields.closes
            or not carrier.may_persist(self)
            or not (self.is_request_complete or more or carrier.may_skip_body(self))
        ):
            self.persists = False
        if not self.persists:
            connection = b"connection: close\r\n"
            carrier.take_no_more()
        elif self.request_line.is_http10:
            connection = b"connection: keep-alive\r\n"
        else:
            connection = b""
        head = carrier.service.encoder.head(status, fields, length, connection)
        parts: tuple[bytes, ...] = (head,)
        if has_body and content:
            self.sent_bytes = len(content)
            parts += chunk(content) if self.is_chunked else (content,)
        if self.is_chunked and not more:
            parts += (last_chunk(fields.trailers),)
        self._write(parts)

    def _write(self, parts: tuple[bytes, ...]) -> None:
        carrier = self.carrier
        if carrier.is_first(self):
            if len(parts) == 1:
                carrier.write(parts[0])
            elif sum(map(len, parts)) <= _JOIN_BYTES:
                carrier.write(b"".join(parts))
            else:
                carrier.write_all(parts)
        else:
            if self._held is None:
                self._held = _Held()
            self._held.add(parts)

    @property
    def is_holding(self) -> bool:
        """Whether something was kept back while an earlier exchange was not complete."""
        return self._held is not None

    def become_first(self) -> None:
        """Write what was kept back while an earlier exchange was not complete."""
        if self._held is not None:
            held, self._held = self._held, None
            self.carrier.write(b"".join(held.parts))

    def answer(self, status: int, detail: str = "", retry_after: int = 0, persists: bool = False) -> None:
        """Make a response of the server's own; close the connection if one has begun already."""
        if self.is_closed:
            return
        if self.feed is not None:
            self.feed.stop()
        if self.status:
            self.lose()
            return
        fields, content = error_page(status, detail)
        if retry_after:
            fields = Fields(fields.block + b"retry-after: %d\r\n" % retry_after)
        if not persists:
            self.persists = False
        self.reply((status, fields, content, False))

    def lose(self, is_stopping: bool = False) -> None:
        """Close without a complete response; the connection is closed with it."""
        if self.is_closed:
            return
        self.is_lost = True
        if not self.status:
            self.carrier.service.numbers.answered(CLIENT_LEFT)
        self.is_stopping = is_stopping
        self._held = None
        self._close()

    def hint(self, fields: Fields) -> None:
        """Send 103 Early Hints, if the response has not begun and it is this exchange's turn."""
        if not self.status and not self.is_closed and not self.request_line.is_http10 and self.carrier.is_first(self):
            self.carrier.hint(fields)

    def is_writable(self) -> bool:
        """Whether the client has caught up with what was written."""
        if self.feed is not None:
            return False
        if self._held is not None:
            return self._held.size <= self.write_buffer
        return self.carrier.gate.is_open

    def is_flooded(self) -> bool:
        """Whether so much waits for the client that a reply must be refused."""
        if self.feed is not None:
            return self.feed.is_flooded(self.write_buffer * FLOOD_FACTOR)
        if self._held is None and self.carrier.gate.is_open:
            return False
        held = self._held.size if self._held is not None else 0
        return held + self.carrier.buffered_bytes() > self.write_buffer * FLOOD_FACTOR

    def when_writable(self, callback: Callable[[], None]) -> None:
        """Call back once, when the client has caught up or the exchange is lost."""
        self.carrier.gate.wait(callback)

    def _close(self) -> None:
        """Take no reply any more, and let the carrier go on."""
        self.is_closed = True
        if self.feed is not None:
            self.feed.stop()
        self.carrier.on_response_ended(self)


class _Held:
    """What an exchange writes when it is its turn."""

    __slots__ = ("parts", "size")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0

    def add(self, parts: tuple[bytes, ...]) -> None:
        self.parts += parts
        self.size += sum(map(len, parts))
