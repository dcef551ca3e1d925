"""One request and its response: the only owner of their state. Loop thread only.

Life of an exchange: made when the head of a request is complete; its reply is written as it comes
while the exchange is the first of its connection, and kept back (bounded) while an earlier one is not
complete; *closed* when it takes no reply any more, because the response is complete or because it is
*lost* (the client left, the consumer failed after the head, the worker stops).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from uvicorn.bridge.consumer import Consumer, advice_on
from uvicorn.bridge.jobs import CallJob
from uvicorn.bridge.work import Work
from uvicorn.connections.attendants import Attended
from uvicorn.connections.carrier import Carrier
from uvicorn.connections.file_feed import Feed
from uvicorn.connections.flow import FLOOD_FACTOR
from uvicorn.connections.numbers import CLIENT_LEFT
from uvicorn.errors import ChannelClosed, ChannelFull, ReadTimeout, is_all_full, is_full
from uvicorn.messages import Headers
from uvicorn.wire.encoder import chunk, error_page, last_chunk
from uvicorn.wire.reply import BODILESS, NO_FIELDS, Fields, Reply
from uvicorn.wire.request_line import RequestLine

__all__ = ["Exchange", "Notice"]

_JOIN_BYTES: Final = 16384  # arbitrary: a body above this is written by itself instead of copied


class Exchange:
    """One request and its response.

    Args:
        carrier: what carries the response.
        request_line: of the request.
        persists: the client wants the connection kept (RFC 9112 section 9.3).
        now: loop time, seconds.
    """

    __slots__ = (
        "_held", "_was_looked_for", "active_at", "attended", "carrier", "consumer", "feed", "fields", "headers",
        "is_answered", "is_chunked", "is_closed", "is_head", "is_lost", "is_request_complete", "is_stopping", "job",
        "persists", "request_line", "sent_bytes", "started_at", "status", "task", "work",
    )  # fmt: skip

    def __init__(
        self, carrier: Carrier, request_line: RequestLine, headers: Headers, persists: bool, now: float
    ) -> None:
        self.carrier = carrier
        self.request_line = request_line
        self.headers = headers
        self.persists = persists
        self.is_head = request_line.is_head
        self.started_at = now
        self.active_at = now  # when the consumer was called, or last sent something
        self.consumer: Consumer | None = None  # set when it is called, or queued
        self.task: asyncio.Task[None] | None = None
        self.job: CallJob | None = None
        self.work: Work | None = None  # of an ASGI application, when it is called
        self.attended: Attended | None = None  # set at once, if anything goes with the request
        self.status = 0  # 0 until the response has begun
        self.fields = NO_FIELDS
        self.sent_bytes = 0  # of content, without framing
        self.is_request_complete = False
        self.is_answered = False
        self.is_closed = False
        self.is_lost = False
        self.is_stopping = False
        self.is_chunked = False
        self._was_looked_for = False
        self._held: _Held | None = None  # written when the exchange is first
        self.feed: Feed | None = None  # while a file is on its way, with all that follows it

    def __repr__(self) -> str:
        state = "lost" if self.is_lost else "closed" if self.is_closed else self.status or "waiting"
        return f"<Exchange {self.shown_line} {self.consumer_name} {state}>"

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

    @property
    def wants_call(self) -> bool:
        """Whether the consumer is still to be called. Runs on: any thread."""
        return not self.is_closed

    # ---- replies ----

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
                and fields.is_plain
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
                return carrier.finish(self, encoder.whole(status, fields.block, content))
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

    # ---- what else can happen ----

    def refuse(self, status: int, reason: str, retry_after: int = 0, setting: str = "other") -> None:
        """Answer instead of the consumer, and close the connection.

        Args:
            reason: for the debug log.
            setting: the one that says so, under which it is counted.
        """
        self.carrier.service.log_of(self).debug("%d to %s: %s", status, self.shown_line, reason)
        self.carrier.service.numbers.refuse(setting)
        self.answer(status, retry_after=retry_after)

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

    def on_failed(self, error: BaseException) -> None:
        """The consumer has raised: that is logged once, and answered with 500, or the connection is closed.

        ChannelFull before the response has begun, of `run_in_pool` or of a channel layer, is no failure: 503.
        """
        service = self.carrier.service
        if isinstance(error, (ChannelClosed, ReadTimeout)) and (self.is_closed or self.carrier.is_lost()):
            service.log_of(self).debug("%s ended: %s: %s", self.consumer_name, self.shown_line, error)
            return
        if isinstance(error, (asyncio.CancelledError, GeneratorExit)) and self.is_closed:
            return
        if not self.status and not self.is_closed and is_full(error):
            service.dispatcher.on_refused(str(error))
            self.refuse(503, str(error), retry_after=1)
            if is_all_full(error):
                return
        if self.consumer is not None:
            self.consumer.tally.errors += 1
        service.log_failure(self, error)
        if self.feed is not None and self.feed.is_whole:
            return  # its response is on its way, and complete
        self.answer(500, service.shown_error(error), persists=True)

    def on_value(self, result: object) -> None:
        """The consumer has returned something: if it was meant for the response, that is said."""
        advice = advice_on(result)
        if advice and not self.status and not self.is_closed:
            self.carrier.service.log_of(self).error("%s %s: %s", self.consumer_name, advice, self.shown_line)

    def on_not_called(self) -> None:
        """Its task was cancelled before it began: without this they and the reply channel would hold each other."""
        self.task = None

    def on_dropped(self, _: object = None) -> None:
        """Nobody holds the reply channel any more: 500 is answered, or the connection is closed."""
        if self.is_closed:
            return
        self.carrier.service.log_of(self).error(
            "%s let go of its reply channel %s: %s",
            self.consumer_name,
            "in the middle of a reply" if self.status else "without a reply",
            self.shown_line,
        )
        self.answer(500, persists=True)

    def hint(self, fields: Fields) -> None:
        """Send 103 Early Hints, if the response has not begun and it is this exchange's turn."""
        if not self.status and not self.is_closed and not self.request_line.is_http10 and self.carrier.is_first(self):
            self.carrier.hint(fields)

    def read_aside(self, work: Callable[[], object], on_done: Callable[[object], None]) -> None:
        """Have a thread for files do some work; call back with what it has returned, or raised.

        Raises: ChannelFull if too much waits.
        """
        files = self.carrier.service.files
        if files.is_full:
            raise ChannelFull("too much waits for the disk")
        files.run(work, on_done)

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

    def _close(self) -> None:
        """Take no reply any more, and let the carrier go on."""
        self.is_closed = True
        if self.feed is not None:
            self.feed.stop()
        self.carrier.on_response_ended(self)

    def is_abandoned(self) -> bool:
        """Whether the consumer has returned and the reply is open: True once, for a look by the garbage collector.

        A channel that somebody keeps stays open. One that is held by a cycle of references alone, as with a local
        variable that keeps an exception, would be let go only when the collector happens to run.
        """
        has_returned = (self.task is not None and self.task.done()) or (self.job is not None and self.job.is_over)
        if self.is_closed or self._was_looked_for or not has_returned:
            return False
        if self.feed is not None and self.feed.is_whole:
            return False
        self._was_looked_for = True
        return True

    # ---- flow ----

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

    def set_waiting(self, is_waiting: bool) -> None:
        """Mark the exchange's thread as blocked in a channel. Runs on: that thread."""
        job = self.job  # read once: the loop may let go of it meanwhile
        if job is not None:
            job.is_waiting = is_waiting


class _Held:
    """What an exchange writes when it is its turn."""

    __slots__ = ("parts", "size")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0

    def add(self, parts: tuple[bytes, ...]) -> None:
        self.parts += parts
        self.size += sum(map(len, parts))


class Notice(Exchange):
    """What a consumer of `http.disconnect` replies to, in place of a client.

    Nothing is written: sending raises ChannelClosed.
    """

    __slots__ = ()

    def __init__(self, lost: Exchange, consumer: Consumer) -> None:
        super().__init__(lost.carrier, lost.request_line, lost.headers, False, lost.started_at)
        self.attended = lost.attended
        self.consumer = consumer
        self.is_closed = self.is_lost = True

    @property
    def wants_call(self) -> bool:
        """Whether the consumer is still to be called."""
        return True
