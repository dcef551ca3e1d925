"""One HTTP/1.1 connection: bytes in, exchanges out.

The way of a request:

    data_received -> _cut          cut off one head (or piece of a body) at a time
    _take_head                     parser.py: httptools, limits, policies; the message and its exchange
    _begin_body, _take_body        body.py: take the body in, if there is one
    dispatcher.dispatch            hand the message over
    ... Exchange.reply             the answer, if it is this exchange's turn
    Pipeline.response_ended        the next exchange's turn, or the end of the connection

Loop thread only. Nothing escapes into the loop: what a client does wrong is a `ClientError`, answered
in `refuse`.

Spec: RFC 9112; sections are cited where they decide something.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final, cast

from uvicorn.bridge.consumer import Consumer
from uvicorn.connections.body import RequestBody
from uvicorn.connections.exchange import Exchange
from uvicorn.connections.flow import BODY, PIPELINE, ReadGate
from uvicorn.connections.handshake import begin_socket
from uvicorn.connections.pipeline import DEPTH, Pipeline
from uvicorn.connections.service import Service
from uvicorn.connections.socket import WebSocket
from uvicorn.connections.watch import ConnectionWatch
from uvicorn.errors import ChannelClosed, ClientError, ReadTimeout, ServerStopping
from uvicorn.messages import Message
from uvicorn.wire.framing import ChunkedCutter, HeadBuffer
from uvicorn.wire.head import PLAIN, UPGRADE, Special
from uvicorn.wire.parser import RequestParser
from uvicorn.wire.proxy import read_proxy_header
from uvicorn.wire.request_line import NO_REQUEST_LINE

__all__ = ["HTTPConnection"]

_LONGEST_CHUNK_OVERHEAD: Final = 16384  # bytes of chunk extensions or trailers in a row; arbitrary
_HEAD_END: Final = b"\r\n\r\n"
_LETTER_A: Final = 0x41

# What the next bytes from the client are.
PROXY_HEADER: Final = 0
HEAD: Final = 1
BODY_PIECE: Final = 2
NOTHING: Final = 3  # the last request of this connection was read, or the connection is being closed


class HTTPConnection(asyncio.Protocol):
    """Serve one client.

    Args:
        client, server: [address, port] of both ends, or None for a unix socket.

    Attributes:
        body: the body of the last exchange, while it comes in.
        requests: how many heads were read.
    """

    __slots__ = (
        "_buffer", "_cutter", "_expects", "_is_cut_short", "_is_cutting", "_overhead", "_parser", "_rest",
        "_socket", "_takes_more", "address", "body", "pipeline", "read_gate", "requests", "service", "transport",
        "watch",
    )  # fmt: skip

    def __init__(self, service: Service, client: list[Any] | None, server: list[Any] | None) -> None:
        self.service = service
        self.address = client[0] if client else None
        self.read_gate = ReadGate(self._pause_reading, self._resume_reading)
        self.pipeline = Pipeline(self, service, self.read_gate)
        self.transport = self.pipeline.transport
        self.watch = ConnectionWatch(self)
        self.body: RequestBody | None = None
        self.requests = 0
        policy = service.peers.header_policy(self.address)
        self._parser = RequestParser(service.base_message(client, server), policy, service.limits)
        self._buffer = HeadBuffer(service.limits)
        self._cutter: ChunkedCutter | None = None
        self._overhead = 0  # bytes of chunked framing since the last content
        self._expects = PROXY_HEADER if service.peers.proxy_mode != "off" else HEAD
        self._rest = b""  # received, not looked at: the pipeline is full
        self._is_cutting = False
        self._socket: WebSocket | None = None  # what the connection is to become
        self._takes_more = True  # no response has said yet that it is the last one
        self._is_cut_short = False  # the client may still be sending what we will not read

    # ---- called by the loop ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = self.pipeline.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(self.service.limits.write_buffer)
        self.pipeline.is_ending = self.service.is_stopping
        self.service.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Take in what the client sent."""
        try:
            if self._expects == HEAD and not self._rest and not self._buffer.data:
                if data == self._parser.known_head:
                    self._take_head(data)
                    return
                _, end, rest = data.partition(_HEAD_END)  # a copy, and yet cheaper than find()
                if end and not rest and data[0] >= _LETTER_A:  # one complete request without a body
                    self._take_head(data)
                    return
            self._rest = self._rest + data if self._rest else data
            self._cut()
        except ClientError as error:
            self.refuse(error)
        except Exception:  # a mistake of ours: it costs this connection only
            self.service.log.error("Error in the connection of %s", self.address or "unix socket", exc_info=True)
            self._expects = NOTHING
            self.transport.abort()

    def eof_received(self) -> bool:
        """Learn that the client sends nothing more; keep the connection while answers are due."""
        pipeline = self.pipeline
        if self._rest and not self.read_gate.reasons:
            self.data_received(b"")  # due in this turn of the loop anyway, and it came before the end
        pipeline.is_half_closed = pipeline.is_ending = True
        if not pipeline.exchanges or self.body is not None or not self.transport.can_write_eof():
            return False  # nothing to answer; or it left in the middle of its request; or TLS, which cannot
        return self.watch.half_closed()

    def pause_writing(self) -> None:
        """Learn that the client is behind."""
        self.pipeline.gate.close()

    def resume_writing(self) -> None:
        """Learn that the client has caught up."""
        self.pipeline.gate.open()
        self._take_more_requests()

    def connection_lost(self, exc: Exception | None) -> None:
        """End: nobody is left to answer."""
        self.pipeline.is_lost = self.pipeline.is_ending = True
        self._expects = NOTHING
        self._rest = b""
        self.service.connections.discard(self)
        self._fail_body(ChannelClosed("the client has left"))
        self.pipeline.end()
        self.pipeline.gate.open()
        self.service.on_connection_lost()

    # ---- requests ----

    def _cut(self) -> None:
        """Work off what was received, as far as the pipeline has room."""
        data, self._rest = self._rest, b""
        at = 0
        self._is_cutting = True
        try:
            while at < len(data) and self._expects != NOTHING:
                if self._expects == BODY_PIECE:
                    at = self._take_body(data, at)
                elif self.read_gate.reasons & PIPELINE:
                    self._rest = data[at:]
                    return
                elif self._expects == HEAD:
                    at = self._find_head(data, at)
                else:
                    data, at = self._take_proxy_header(data), 0
            if self.body is not None:
                self.body.pause()
            if at < len(data):
                if self._socket is not None:
                    self._socket.data_received(data[at:])
                else:
                    self._is_cut_short = True
        finally:
            self._is_cutting = False

    def _find_head(self, data: bytes, at: int) -> int:
        """Take the next head, if it is complete; return where the next bytes begin."""
        if not self._buffer.data and data[at] >= _LETTER_A:
            end = data.find(_HEAD_END, at) + 4
            if end > 3:
                self._take_head(data[at:end])
                return end
        size = self._buffer.add(data[at:])
        if not size:
            if self._buffer.data:
                self.watch.head_began()
            return len(data)
        head, rest = self._buffer.take(size)
        self.watch.head_since = 0.0
        self._take_head(head)
        return len(data) - len(rest)

    def _take_head(self, data: bytes) -> None:
        """Parse one complete head and start its exchange.

        Raises: ClientError.
        """
        service = self.service
        pipeline = self.pipeline
        message, request, special, persists = self._parser.head(data)
        headers = message["headers"]
        if service.is_observed:  # what is reported must not change with what the consumer does to its message
            headers = [*map(list, headers)]
        exchange = Exchange(
            pipeline,
            request,
            headers,
            persists and service.keeps_connections,
            service.loop.time() if service.is_observed else service.now,
        )
        exchanges = pipeline.exchanges
        exchanges.append(exchange)
        if len(exchanges) >= DEPTH or not pipeline.gate.is_open:
            self.read_gate.hold(PIPELINE)
        self.requests += 1
        service.requests += 1
        if service.requests >= service.most_requests:
            service.on_most_requests()
        application = service.application
        consumer = application.only or application.find("http.request", request.path, message)
        if special is not PLAIN and special.content_length:
            self._begin_body(exchange, consumer, message, special)
            return
        exchange.is_request_complete = True
        if not exchange.persists:
            self._expects = NOTHING
        if consumer is None:
            exchange.answer(404, persists=True)
        else:
            exchange.consumer = consumer
            service.dispatcher.dispatch(consumer, message, exchange)

    def _begin_body(self, exchange: Exchange, consumer: Consumer | None, message: Message, special: Special) -> None:
        if special.content_length == UPGRADE:
            self._expects = NOTHING
            self._socket = begin_socket(self, exchange, message)
            return
        if consumer is None:
            self._cut_short()
            exchange.answer(404)
            return
        if special.content_length < 0:
            self._cutter = ChunkedCutter()
        self._parser.begin_body()
        self._expects = BODY_PIECE
        self.body = RequestBody(
            self.service,
            consumer,
            message,
            special.content_length,
            self.read_gate,
            partial(self.pipeline.say_continue, exchange) if special.expects_continue else None,
            partial(self._body_ready, exchange, consumer),
            exchange.set_waiting,
        )
        self.watch.body_at = self.service.loop.time()
        self.body.start(is_alone=not self._is_cutting)

    def _take_body(self, data: bytes, at: int) -> int:
        """Feed one piece of a body; return where the next bytes begin.

        Raises: ClientError.
        """
        body = self.body
        assert body is not None
        if self._cutter is None:
            size = min(body.left, len(data) - at)
            body.left -= size
        else:
            size = self._cutter.cut(data, at)
        content = self._parser.body(data if size == len(data) else data[at : at + size])
        self.watch.body_at = self.service.loop.time()
        if content:
            self._overhead = 0
            body.feed(content)
            if self.body is not body:  # its consumer was refused, or has answered and closed
                return at + size
        else:
            self._overhead += size
            if self._overhead > _LONGEST_CHUNK_OVERHEAD:
                raise ClientError(431, "chunk extensions or trailers too large")
        if not self._parser.is_body_open:
            self.body = None
            self._cutter = None
            self._overhead = 0
            exchange = self.pipeline.exchanges[-1]
            exchange.is_request_complete = True
            self._expects = HEAD if exchange.persists and self._takes_more else NOTHING
            body.end()
            if exchange.is_closed:
                self.pipeline.request_ended(exchange)
        return at + size

    def _body_ready(self, exchange: Exchange, consumer: Consumer, message: Message | None, error: Any) -> None:
        if exchange.is_closed:
            return
        if message is not None and error is None:
            exchange.consumer = consumer
            self.service.dispatcher.dispatch(consumer, message, exchange)
        elif error is not None:
            self.service.log.error("Cannot keep a request body in a temporary file: %s", error)
            exchange.answer(500)

    def _take_proxy_header(self, data: bytes) -> bytes:
        """Read the PROXY header, if there is one; return what follows it.

        Raises: ClientError, 400, or 403 from a peer that is not in `proxy_allow_ips`.
        """
        data = bytes(self._buffer.data) + data
        self._buffer.data.clear()
        header = read_proxy_header(data, self.service.peers.proxy_mode)
        if header is None:
            self._buffer.data += data
            self.watch.head_began()
            return b""
        self._expects = HEAD
        if header.size and not self.service.peers.may_send_proxy_header(self.address):
            raise ClientError(403, "PROXY header from a peer that is not in proxy_allow_ips")
        if header.client is not None:
            self._parser.set_base(self.service.base_message(header.client, header.server))
        return data[header.size :]

    # ---- called by the pipeline ----

    def has_more_requests(self) -> bool:
        """Whether bytes of a further request wait already."""
        return bool(self._rest)

    def may_skip_body(self) -> bool:
        """Whether the rest of the last request's body is so short that the connection can be kept."""
        return self.body is not None and self.body.may_skip()

    def skip_body(self) -> None:
        """Take no notice of the rest of the last request's body."""
        if self.body is not None:
            self.body.skip()

    def take_no_more(self) -> None:
        """Read no further request: a response said `connection: close` (RFC 9112 section 9.6)."""
        self._takes_more = False
        if self._expects == HEAD:
            self._expects = NOTHING

    def has_room(self) -> None:
        """Read on, if reading was held for an exchange that has ended."""
        if not self.read_gate.reasons:
            return
        self.read_gate.release(BODY)
        self._take_more_requests()

    def _take_more_requests(self) -> None:
        """Read further requests, if there is room for them and the client takes its answers."""
        if self.read_gate.reasons & PIPELINE and len(self.pipeline.exchanges) < DEPTH and self.pipeline.gate.is_open:
            self.read_gate.release(PIPELINE)
            if self._rest and not self._is_cutting:
                self.service.loop.call_soon(self.data_received, b"")

    def addresses(self) -> tuple[list[Any] | None, list[Any] | None]:
        """Return the client's and our address, as the messages of this connection have them."""
        return self._parser.base["client"], self._parser.base["server"]

    # ---- the end ----

    def refuse(self, error: ClientError) -> None:
        """Answer what is not a request, or not a complete one, in its turn, and close."""
        client = self.addresses()[0]
        self.service.log.info("%d to %s: %s", error.status, client[0] if client else "unix socket", error.reason)
        self._cut_short()
        exchanges = self.pipeline.exchanges
        if exchanges and not exchanges[-1].is_request_complete:
            exchange = exchanges[-1]
        else:
            exchange = Exchange(self.pipeline, NO_REQUEST_LINE, [], False, self.service.loop.time())
            exchanges.append(exchange)
        self._fail_body(ReadTimeout(error.reason) if error.status == 408 else ChannelClosed(error.reason))
        if exchange.is_closed and self.pipeline.is_first(exchange):  # the rest of its body was skipped
            self.close()
        exchange.answer(error.status)

    def close(self) -> None:
        """Close when everything is written; read on for a while if the client is still sending.

        Closing a socket with unread bytes resets the connection, and the client may then never see the answer
        (RFC 9112 section 9.6).
        """
        if self.pipeline.is_lost or self.watch.is_lingering or self.transport.is_closing():
            return
        is_sending = self._is_cut_short or self._rest or self.read_gate.reasons or self.body is not None
        self._expects = NOTHING
        self._rest = b""
        self.watch.head_since = 0.0
        self._fail_body(ChannelClosed("the connection is closed"))
        self.pipeline.end()
        self.read_gate.release(PIPELINE)
        self.read_gate.release(BODY)
        if is_sending and not self.pipeline.is_half_closed and self.transport.can_write_eof():
            self.transport.write_eof()
            self.watch.linger()
        else:
            self.transport.close()

    def abort(self) -> None:
        """Close at once, because the worker stops: whoever waits for this connection learns it."""
        self._fail_body(ServerStopping("the worker is stopping"))
        self.pipeline.end(is_stopping=True)
        self.pipeline.gate.open()
        self.pipeline.abort()

    def _cut_short(self) -> None:
        """Read no further request, though the client may still be sending this one."""
        self._expects = NOTHING
        self._rest = b""
        self._is_cut_short = True

    def _fail_body(self, error: Exception) -> None:
        body, self.body = self.body, None
        if body is not None:
            body.fail(error)

    def _pause_reading(self) -> None:
        if not self.pipeline.is_lost and not self.transport.is_closing():
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if not self.pipeline.is_lost and not self.transport.is_closing():
            self.transport.resume_reading()
