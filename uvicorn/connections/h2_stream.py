"""One stream of an HTTP/2 connection: what carries one exchange, and what takes in its body. Loop thread only.

Life of a stream: made when its head is complete; *sent* when the last of the response is with the engine; *over* when
the client has sent all of its request as well, or one of both has reset it. Content waits here, not in the engine: the
connection asks for a piece (`pump`) when it is this stream's turn and a window is open.

The window opens with what the consumer takes (`Credit`): the body of a stream that nobody reads costs no more than
`http2_initial_window_size` beyond what the body itself may keep.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any, Final, Protocol

from uvicorn.bridge.consumer import Consumer
from uvicorn.connections.body import RequestBody
from uvicorn.connections.carrier import Carrier
from uvicorn.connections.exchange import Exchange
from uvicorn.connections.flow import FLOOD_FACTOR
from uvicorn.connections.h2_schedule import Schedule
from uvicorn.connections.pipeline import let_go
from uvicorn.connections.service import Service
from uvicorn.errors import ChannelClosed, ClientError, ReadTimeout
from uvicorn.messages import Message
from uvicorn.wire.h2_engine import CANCEL, INTERNAL_ERROR, NO_ERROR, Engine
from uvicorn.wire.h2_head import HeadWriter, pairs_of
from uvicorn.wire.priority import Priority
from uvicorn.wire.reply import BODILESS, Fields

__all__ = ["PIECE", "Credit", "Stream", "StreamOwner", "Tunnelled"]

PIECE: Final = 16384  # bytes that a stream sends in its turn: a frame of the usual size
_SWITCHING: Final = 101
_MOST_DIRECT: Final = 262144  # bytes that the engine is given at once, between two writes; arbitrary
_FEWEST: Final = 4  # streams take their pieces in quarters of the mark: when so much has gone, senders go on


class StreamOwner:
    """What a stream needs of its connection. A base class and no Protocol, so that compiled calls can be typed.

    Attributes:
        can_write: the client takes what is written.
        direct_bytes: content that the engine was given out of turn, and that is not written yet.
        is_ending: GOAWAY was sent.
        queued_bytes: content that waits in all streams together.
        wide_streams: how many have a window that was made larger.
        unwanted: streams that are reset behind what was sent on them: their requests need not be complete.
    """

    __slots__ = (
        "can_write", "direct_bytes", "engine", "is_ending", "queued_bytes", "schedule", "service", "unwanted",
        "wide_streams", "writer",
    )  # fmt: skip

    def __init__(self, service: Service, engine: Engine, writer: HeadWriter) -> None:
        self.service = service
        self.engine = engine
        self.writer = writer
        self.schedule = Schedule()
        self.can_write = True
        self.is_ending = False
        self.direct_bytes = self.queued_bytes = self.wide_streams = 0
        self.unwanted: list[int] = []

    def wants_flush(self) -> None:
        """Have what waits written soon."""
        raise NotImplementedError

    def over(self, stream: Stream) -> None:
        """A stream has come to its end."""
        raise NotImplementedError

    def answered(self) -> None:
        """A response is complete."""
        raise NotImplementedError

    def take_no_more(self) -> None:
        """A response says that it is the last one."""
        raise NotImplementedError

    def addresses(self) -> tuple[list[Any] | None, list[Any] | None]:
        """Return the client's and our address, as the messages have them."""
        raise NotImplementedError


class Tunnelled(Protocol):
    """What a stream carries that is no HTTP: a socket."""

    def data_came(self, data: bytes) -> None:
        """The client has sent something."""

    def eof_came(self) -> None:
        """The client sends nothing more."""

    def drained(self) -> None:
        """The client has taken something."""

    def ended(self) -> None:
        """All was sent, and the stream is closed on our side."""

    def lost(self) -> None:
        """The stream is gone."""


class Credit:
    """When the window of a stream opens: as its bytes are taken, and not as they come.

    In the shape of an `Intake`, for `RequestBody`.
    """

    __slots__ = ("_owed", "_stream", "reasons")

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._owed = 0  # bytes that came and did not open the window again
        self.reasons = 0  # why it stays closed; 0 if it does not

    @property
    def is_held(self) -> bool:
        """Whether the consumer is behind."""
        return self.reasons != 0

    def came(self, size: int) -> None:
        """Count what has come and is taken, or waits."""
        self._owed += size
        if not self.reasons:
            self.settle()

    def hold(self, reason: int) -> None:
        """Leave the window closed, for this reason too."""
        self.reasons |= reason

    def release(self, reason: int) -> None:
        """Open the window, if this was the last reason not to."""
        if self.reasons & reason:
            self.reasons &= ~reason
            if not self.reasons:
                self.settle()

    def settle(self) -> None:
        """Open the window for all that has come."""
        if self._owed:
            owner = self._stream.owner
            owner.engine.took(self._stream.id, self._owed)
            self._owed = 0
            owner.wants_flush()


class Stream(Carrier):
    """One stream.

    Attributes:
        id: its number.
        exchange: the request and its response; None when both are over.
        body: the body of the request, while it comes in.
        queued_bytes: content that waits for its turn, or for a window.
        taken_bytes: content that the client's windows have taken.
        is_sent: the response is with the engine.
        is_request_ended: the client has sent all that it sends on this stream.
        is_over: nothing is sent or taken any more.
        tunnel: what is carried once the exchange is over: a socket.
    """

    __slots__ = (
        "_credit", "_ends", "_is_client_gone", "_is_wide", "_queue", "_trailers", "body", "body_at", "exchange", "id",
        "is_over", "is_request_ended", "is_sent", "owner", "priority", "queued_bytes", "sending", "taken_bytes",
        "taking", "tunnel",
    )  # fmt: skip

    def __init__(self, owner: StreamOwner, stream_id: int, priority: Priority) -> None:
        super().__init__(owner.service)
        self.frames_content = True
        self.owner = owner
        self.id = stream_id
        self.priority = priority
        self.exchange: Exchange = None  # type: ignore[assignment]  # set at once: they know each other
        self.body: RequestBody | None = None
        self.body_at = 0.0  # when the client last sent something of it
        self._credit: Credit | None = None  # made with the first look at it: most requests have no body
        self.sending: Any = None  # how fast the client sends; see h2_watch.py
        self.taking: Any = None
        self.tunnel: Tunnelled | None = None
        self.queued_bytes = self.taken_bytes = 0
        self._queue: deque[bytes] | None = None  # made when something has to wait
        self._ends = False  # the last of the response is in the queue
        self._trailers = b""
        self._is_wide = False
        self.is_sent = self.is_over = self.is_request_ended = False
        self._is_client_gone = False

    # ---- what an exchange asks for ----

    @property
    def credit(self) -> Credit:
        """What opens the window."""
        if self._credit is None:
            self._credit = Credit(self)
        return self._credit

    @property
    def is_scheduled(self) -> bool:
        """Whether it waits for its turn, and not for the client."""
        return self.id in self.owner.schedule

    def is_lost(self) -> bool:
        """Whether nobody is left to answer."""
        return self._is_client_gone

    def is_plain(self) -> bool:
        """Whether a response says nothing of the connection: not while the worker stops."""
        return not self.owner.is_ending

    def is_first(self, exchange: Exchange) -> bool:
        """Whether it is this exchange's turn to write: it has the stream for itself."""
        return True

    def may_persist(self, exchange: Exchange) -> bool:
        """Whether another request will be answered: that is for GOAWAY to say."""
        return True

    def take_no_more(self) -> None:
        """A response says that it is the last one."""
        self.owner.take_no_more()

    def buffered_bytes(self) -> int:
        """How many bytes wait for the client: of all streams, for one that has more than its share of what may.

        So all together hold little more than twice what one alone may, and who holds little is not refused for others.
        """
        limits = self.service.limits
        share = limits.write_buffer * FLOOD_FACTOR // max(1, limits.http2.streams)
        return self.owner.queued_bytes if self.queued_bytes > share else self.queued_bytes

    def addresses(self) -> tuple[list[Any] | None, list[Any] | None]:
        """Return the client's and our address, as the messages have them."""
        return self.owner.addresses()

    def send(self, exchange: Exchange, status: int, fields: Fields, content: bytes, more: bool) -> None:
        """Send a part of a response: at once, if it is short and nothing is in its way; else in its turn."""
        if self.is_over:
            return
        owner = self.owner
        engine = owner.engine
        owner.wants_flush()
        has_body = not exchange.is_head and exchange.status not in BODILESS
        head: list[tuple[bytes, bytes]] = []
        if status:
            has_length = not more and status not in BODILESS and (content or not exchange.is_head)
            head = owner.writer.head(status, fields, len(content) if has_length else None)
            if fields.closes:
                self.service.loop.call_soon(owner.take_no_more)  # GOAWAY behind the response: some clients need that
        if not has_body:
            content = b""
        trailers = fields.trailers if has_body else b""
        if not self._queue and not trailers:
            if not content:
                if status:
                    engine.respond(self.id, head, not more)
                elif not more:
                    engine.send(self.id, b"", True)
                if not more:
                    self._sent()
                return
            if (
                len(content) <= PIECE
                and owner.can_write
                and not owner.schedule
                and owner.direct_bytes + len(content) <= _MOST_DIRECT
                and engine.room(self.id) >= len(content)
            ):
                if status:
                    engine.respond(self.id, head, False)
                engine.send(self.id, content, not more)
                self.taken_bytes += len(content)
                owner.direct_bytes += len(content)
                if not more:
                    self._sent()
                return
        if status:
            engine.respond(self.id, head, False)
        self._trailers = trailers
        self.put(content, not more)

    def hint(self, fields: Fields) -> None:
        """Send 103 Early Hints."""
        self._inform(103, fields)

    def accept_socket(self, fields: Fields) -> None:
        """Accept a WebSocket (RFC 8441 section 5)."""
        head = self.owner.writer.head(200, fields, None)
        head = [pair for pair in head if pair[0] != b"sec-websocket-accept"]
        self.owner.engine.respond(self.id, head, False)
        self.owner.wants_flush()

    def on_response_ended(self, exchange: Exchange) -> None:
        """A response is complete, or lost."""
        service = self.service
        if exchange.is_lost:
            let_go(self, exchange)
            self.reset(INTERNAL_ERROR)
            self.gate.open()
        else:
            self.owner.answered()
        if service.is_observed:
            if service.report is not None:
                service.report(exchange)
            service.dispatcher.on_response_ended(exchange)
        if exchange.job is not None and not exchange.is_lost and not service.has_hooks:
            exchange.job = None  # they hold each other
        if self.is_over:
            self._let_go()

    def abort(self) -> None:
        """Break off, whatever is on its way."""
        exchange = self.exchange
        self.reset(INTERNAL_ERROR)
        if exchange is not None:
            exchange.lose()

    # ---- sending ----

    def put(self, content: bytes, ends: bool) -> None:
        """Have content sent in its turn."""
        if content:
            if self._queue is None:
                self._queue = deque()
            self._queue.append(content)
            self.queued_bytes += len(content)
            self.owner.queued_bytes += len(content)
            if self.queued_bytes > self.service.limits.write_buffer:
                self.gate.close()
        self._ends = self._ends or ends
        if self._queue or self._ends:
            self.owner.schedule.add(self.id, self.priority)
            self.owner.wants_flush()

    def resume(self) -> None:
        """Take turns again, if anything waits: a window has opened."""
        if self._queue:
            self.owner.schedule.add(self.id, self.priority)

    def pump(self, most: int) -> int:
        """Send the next piece; return its size, 0 if nothing can be sent now."""
        owner = self.owner
        engine = owner.engine
        size = 0
        if self._queue:
            room = engine.room(self.id)
            if room <= 0:
                owner.schedule.discard(self.id)  # until a window opens
                return 0
            piece = self._next(min(room, most))
            size = len(piece)
            self.taken_bytes += size
            engine.send(self.id, piece, self._ends and not self._queue and not self._trailers)
        elif not self._trailers:
            engine.send(self.id, b"", True)
        if not self._queue:
            owner.schedule.discard(self.id)
            if self._ends:
                if self._trailers:
                    engine.send_trailers(self.id, pairs_of(self._trailers))
                self._sent()
        if not self.gate.is_open and self.queued_bytes <= self.service.limits.write_buffer // _FEWEST:
            self.gate.open()
        if self.tunnel is not None:
            self.tunnel.drained()
        return size

    def _next(self, most: int) -> bytes:
        """Take so many bytes out of the queue, or less."""
        queue = self._queue
        assert queue is not None
        first = queue.popleft()
        if len(first) > most:
            queue.appendleft(first[most:])
            first = first[:most]
        elif queue and len(first) < most:
            parts, size = [first], len(first)
            while queue and size < most:
                part = queue.popleft()
                if size + len(part) > most:
                    queue.appendleft(part[most - size :])
                    part = part[: most - size]
                parts.append(part)
                size += len(part)
            first = b"".join(parts)
        self.queued_bytes -= len(first)
        self.owner.queued_bytes -= len(first)
        return first

    def _inform(self, status: int, fields: Fields) -> None:
        self.owner.engine.inform(self.id, [(b":status", b"%d" % status), *pairs_of(fields.block)])
        self.owner.wants_flush()

    def _sent(self) -> None:
        """The response is with the engine: the stream is over when its request is complete as well."""
        self.is_sent = True
        body = self.body
        if self.tunnel is not None:
            self.tunnel.ended()
            if self.exchange.status != _SWITCHING:  # the socket was refused
                self.tunnel.lost()
                self.reset(NO_ERROR)
            elif self.is_request_ended:
                self._end()
        elif self.is_request_ended:
            self._end()
        elif body is not None and body.may_skip():
            body.skip()
        else:
            self.reset(NO_ERROR)  # RFC 9113 section 8.1: the rest of the request is not needed

    # ---- the request ----

    def begin(self, consumer: Consumer | None, message: Message, length: int, expects: bool, is_ended: bool) -> bool:
        """Call the consumer, now or when its body has come.

        Args:
            length: the content-length, or -1.
            expects: the client waits for 100 Continue.

        Returns: whether `RequestBody.on_paused` is to be called when nothing more has come for now.
        Raises: ClientError 413.
        """
        exchange = self.exchange
        self.is_request_ended = exchange.is_request_complete = is_ended
        if consumer is None:
            exchange.answer(404, persists=True)
        elif is_ended:
            exchange.consumer = consumer
            self.service.dispatcher.dispatch(consumer, message, exchange)
        else:
            self.body_at = self.service.loop.time()
            self.body = RequestBody(
                self.service,
                consumer,
                message,
                length if length >= 0 else None,
                self.credit,
                partial(self._say_continue) if expects else None,
                partial(self._body_ready, consumer),
                exchange.set_waiting,
            )
            self.body.start(is_alone=False)
            return True
        return False

    def data_came(self, data: bytes, is_ended: bool) -> None:
        """Take in a piece of the body."""
        if self.tunnel is not None:
            self._data_for_tunnel(data, is_ended)
            return
        body = self.body
        if body is None:
            self.credit.came(len(data))
            return
        self.body_at = self.service.loop.time()
        if data:
            try:
                body.feed(data)
            except ClientError as error:
                self.credit.came(len(data))
                self.refuse(error)
                return
            self.credit.came(len(data))
            if not self._is_wide and body.size > 2 * self.service.limits.http2.window_size and not self.credit.reasons:
                self._widen()
        if is_ended and self.body is body:
            self.body = None
            self.is_request_ended = self.exchange.is_request_complete = True
            body.end()
            if self.is_sent:
                self._end()

    def _widen(self) -> None:
        """Let the client be further ahead, if the window of the connection has room for that."""
        owner = self.owner
        limits = self.service.limits.http2
        if owner.wide_streams < limits.most_wide and limits.wide_window > limits.window_size:
            self._is_wide = True
            owner.wide_streams += 1
            owner.engine.widen(self.id, limits.wide_window)

    def refuse(self, error: ClientError) -> None:
        """Answer a request that is not complete, or not served."""
        exchange = self.exchange
        self.service.log.info("%d to %s: %s", error.status, exchange.shown_line, error.reason)
        self.fail_body(ReadTimeout(error.reason) if error.status == 408 else ChannelClosed(error.reason))
        if exchange.is_closed:
            self.reset(NO_ERROR)
        exchange.answer(error.status)

    def fail_body(self, error: Exception) -> None:
        """Break off the body."""
        body, self.body = self.body, None
        if body is not None:
            body.fail(error)

    def _data_for_tunnel(self, data: bytes, is_ended: bool) -> None:
        assert self.tunnel is not None
        self.credit.came(len(data))  # first: the socket may want no more of it
        if data:
            self.tunnel.data_came(data)
        if is_ended and not self.is_over:
            self.is_request_ended = True
            self.tunnel.eof_came()
            if self.is_sent:
                self._end()

    def _say_continue(self) -> None:
        if not self.exchange.status and not self.exchange.is_request_complete and not self.is_over:
            self._inform(100, Fields(b""))

    def _body_ready(self, consumer: Consumer, message: Message | None, error: Any) -> None:
        exchange = self.exchange
        if exchange.is_closed:
            return
        if message is not None and error is None:
            exchange.consumer = consumer
            self.service.dispatcher.dispatch(consumer, message, exchange)
        elif error is not None:
            self.service.log.error("Cannot keep a request body in a temporary file: %s", error)
            exchange.answer(500)

    # ---- the end ----

    def reset(self, code: int) -> None:
        """Reset the stream, if it is not over."""
        if not self.is_over:
            if code == NO_ERROR:
                self.owner.unwanted.append(self.id)
            else:
                self.owner.engine.reset(self.id, code)
            self.owner.wants_flush()
            self._end()

    def cancel(self) -> None:
        """Reset the stream of a client that does not take its response."""
        self.reset(CANCEL)
        self.client_left()

    def client_left(self, error: Exception | None = None, is_stopping: bool = False) -> None:
        """The client has reset the stream, or left; or nobody can wait for it any longer."""
        exchange = self.exchange
        self._is_client_gone = not is_stopping
        self.fail_body(error or ChannelClosed("the client has left"))
        self._end()
        if exchange is not None and not exchange.is_closed:
            exchange.lose(is_stopping)
        tunnel, self.tunnel = self.tunnel, None
        if tunnel is not None:
            tunnel.lost()
        self.gate.open()

    def _end(self) -> None:
        if self.is_over:
            return
        self.is_over = True
        if self._credit is not None:
            self._credit.reasons = 0
            self._credit.settle()  # the connection's window is still owed
            self._credit = None  # they hold each other
        if self._is_wide:
            self.owner.wide_streams -= 1
        if self._queue is not None:
            self._queue.clear()
            self.owner.queued_bytes -= self.queued_bytes
            self.queued_bytes = 0
        if self.body is not None:
            self.fail_body(ChannelClosed("the stream is closed"))
        self.owner.over(self)
        if self.exchange is not None and self.exchange.is_closed:
            self._let_go()

    def _let_go(self) -> None:
        """Let go of an exchange that is over: they hold each other, which only the garbage collector would find."""
        if self.tunnel is None:
            self.exchange = None  # type: ignore[assignment]  # nobody asks for it any more
