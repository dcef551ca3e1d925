"""One HTTP/1.1 connection: bytes in, exchanges out, answers in the order of the requests.

The way of a request through this file:

    data_received -> _cut          cut off one head (or piece of a body) at a time
    _take_head                     httptools; limits and policies; message and exchange
    _route                         find the consumer; take the body in, if there is one
    _dispatch                      hand the message over
    ... Exchange.reply -> write    the answer, if it is this exchange's turn
    response_ended -> _advance     the next exchange's turn, or the end of the connection

Loop thread only. Nothing escapes into the loop: what a client does wrong is a `ClientError`, answered
in `_refuse`.

Spec: RFC 9112; sections are cited where they decide something.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

import httptools

from uvicorn.bridge.consumer import Consumer
from uvicorn.errors import ChannelClosed, ClientError, ReadTimeout
from uvicorn.messages import (
    LONGEST_CACHED_TARGET,
    Headers,
    Message,
    http_disconnect,
    http_request,
    split_long_target,
    split_target,
)
from uvicorn.protocols.body import RequestBody
from uvicorn.protocols.encoder import CONTINUE
from uvicorn.protocols.exchange import Exchange, Notice
from uvicorn.protocols.flow import BODY, PIPELINE, ReadGate, WriteGate
from uvicorn.protocols.head import (
    KNOWN_HOSTS,
    PLAIN,
    Special,
    check_sizes,
    line_error,
    parser_error,
    target_of,
    version_of,
)
from uvicorn.protocols.intake import ChunkedCutter, HeadBuffer
from uvicorn.protocols.proxy import read_proxy_header
from uvicorn.protocols.service import Service
from uvicorn.protocols.watch import ConnectionWatch

__all__ = ["HTTPConnection"]

_PIPELINE_DEPTH: Final = 16  # requests of one connection in flight; arbitrary
_LONGEST_CHUNK_OVERHEAD: Final = 16384  # bytes of chunk extensions or trailers in a row; arbitrary
_HEAD_END: Final = b"\r\n\r\n"
_REST_OF_LINE: Final = len(b"  HTTP/1.1")
_SLASH: Final = 0x2F
_LETTER_A: Final = 0x41

# What the next bytes from the client are.
PROXY_HEADER: Final = 0
HEAD: Final = 1
BODY_PIECE: Final = 2
NOTHING: Final = 3  # the last request of this connection was read, or the connection is being closed

_METHODS: dict[bytes, str] = {}  # llhttp knows 34 methods: no more can come in


class HTTPConnection(asyncio.Protocol):
    """Serve one client.

    Args:
        client, server: [address, port] of both ends, or None for a unix socket.
    """

    __slots__ = (
        "_base", "_buffer", "_cutter", "_events", "_headers", "_is_cut_short", "_is_cutting", "_longest_unchecked",
        "_overhead", "_owes_continue", "_parser", "_policy", "_rest", "_special_names", "_specials", "_takes_more",
        "address", "body", "expects", "gate", "is_ending", "is_half_closed", "is_lost", "pipeline", "read_gate",
        "requests", "service", "transport", "watch",
    )  # fmt: skip

    def __init__(self, service: Service, client: list[Any] | None, server: list[Any] | None) -> None:
        limits = service.limits
        address = client[0] if client else None
        self.service = service
        self.gate = WriteGate()
        self.read_gate = ReadGate(self._pause_reading, self._resume_reading)
        self.pipeline: deque[Exchange] = deque()  # in the order of their requests
        self.body: RequestBody | None = None  # of the last exchange, while it comes in
        self.is_lost = False
        self.is_half_closed = False  # the client has said that it will send nothing more
        self.is_ending = False  # half-closed, lost, or the worker stops
        self.expects = PROXY_HEADER if service.peers.proxy_mode != "off" else HEAD
        self.watch = ConnectionWatch(self)
        self.transport: asyncio.Transport = _NO_TRANSPORT
        self.address = address
        self._policy = service.peers.header_policy(address)
        self._special_names = self._policy.special
        self._base = service.base_message(client, server)
        self._events = _Events(self.on_header)
        self._parser = httptools.HttpRequestParser(self._events)
        self._buffer = HeadBuffer(limits)
        self._longest_unchecked = limits.shortest_refused
        self._rest = b""  # received, not looked at: the pipeline is full
        self._is_cutting = False
        self._cutter: ChunkedCutter | None = None
        self._overhead = 0
        self._takes_more = True  # no response has said yet that it is the last one
        self._is_cut_short = False  # the client may still be sending what we will not read
        self._owes_continue: Exchange | None = None
        self._headers: Headers = []  # filled by httptools while a head is fed
        self._specials: Headers = []
        self.requests = 0

    # ---- transport -> us ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin. Called by the loop."""
        self.transport = cast(asyncio.Transport, transport)
        self.is_ending = self.service.is_stopping
        self.transport.set_write_buffer_limits(self.service.limits.write_buffer)
        self.service.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Take in what the client sent. Called by the loop."""
        try:
            if self.expects == HEAD and not self._rest and not self._buffer.data:
                end = data.find(_HEAD_END) + 4
                if end > 3 and end == len(data) and data[0] >= _LETTER_A:  # one complete request without a body
                    self._take_head(data)
                    return
            self._rest = self._rest + data if self._rest else data
            self._cut()
        except ClientError as error:
            self._refuse(error)
        except Exception:
            self._fail()

    def eof_received(self) -> bool:
        """Learn that the client sends nothing more; keep the connection while answers are due."""
        self.is_half_closed = self.is_ending = True
        if not self.pipeline or self.body is not None or not self.transport.can_write_eof():
            return False  # nothing to answer; or it left in the middle of its request; or TLS, which cannot
        return self.watch.half_closed()

    def pause_writing(self) -> None:
        """Learn that the client is behind. Called by the loop."""
        self.gate.close()

    def resume_writing(self) -> None:
        """Learn that the client has caught up. Called by the loop."""
        self.gate.open()

    def connection_lost(self, exc: Exception | None) -> None:
        """End: nobody is left to answer. Called by the loop."""
        self.is_lost = self.is_ending = True
        self.expects = NOTHING
        self._rest = b""
        self.service.connections.discard(self)
        self._fail_all(ChannelClosed("the client has left"))
        self.gate.open()
        self.service.on_connection_lost()

    # ---- httptools -> us; its other events go straight into lists ----

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header field, or a trailer field, which is dropped (RFC 9110 section 6.5.1)."""
        name = name.lower()
        field = [name, value]
        self._headers.append(field)
        if name in self._special_names:
            self._specials.append(field)

    # ---- requests ----

    def _cut(self) -> None:
        """Work off what was received, as far as the pipeline has room."""
        data, self._rest = self._rest, b""
        at = 0
        self._is_cutting = True
        try:
            while at < len(data) and self.expects != NOTHING:
                if self.expects == BODY_PIECE:
                    at = self._take_body(data, at)
                elif self.read_gate.reasons & PIPELINE:
                    self._rest = data[at:]
                    return
                elif self.expects == HEAD:
                    at = self._find_head(data, at)
                else:
                    data, at = self._take_proxy_header(data), 0
            if at < len(data):
                self._is_cut_short = True
        finally:
            self._is_cutting = False

    def _find_head(self, data: bytes, at: int) -> int:
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

    def _take_head(self, head: bytes) -> None:
        """Parse one complete head and start its exchange.

        Raises: ClientError.
        """
        service = self.service
        line_end = head.find(b"\r\n")
        version = version_of(head, line_end)
        if len(head) > self._longest_unchecked:
            check_sizes(head, service.limits)
        headers = self._headers = []
        specials = self._specials = []
        parser = self._parser
        is_upgrade = False
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            is_upgrade = True
        except httptools.HttpParserError as error:
            raise parser_error(error, head) from None
        if len(headers) > service.limits.request_fields:
            raise ClientError(431, f"{len(headers)} header fields")
        if len(specials) == 1 and specials[0][0] == b"host" and specials[0][1] in KNOWN_HOSTS:
            special = PLAIN
        else:
            special = self._policy.apply(specials, version)
        if b"_" in head:
            headers, special = self._policy.map_names(headers, special)
        name = parser.get_method()
        target = self._events.targets.pop()
        if not version or line_end != len(name) + len(target) + _REST_OF_LINE:
            raise line_error(head)
        method = _METHODS.get(name) or _METHODS.setdefault(name, name.decode("ascii"))
        if target[0] == _SLASH:
            split = split_target(target) if line_end <= LONGEST_CACHED_TARGET else split_long_target(target)
        elif method == "CONNECT":
            raise ClientError(501, "CONNECT is not served")
        else:
            split = split_long_target(target_of(target, method, headers))
        # Not httptools' should_keep_alive(): it forgets with the end of the message.
        persists = service.keeps_connections and not special.closes and (version == "1.1" or special.keeps)
        self.requests += 1
        if is_upgrade:
            self._ignore_upgrade(special.content_length)
        message = http_request(self._base, version, method, split, headers)
        if special.scheme is not None:
            message["scheme"] = special.scheme
        if special.root_path is not None:
            message["root_path"] = special.root_path
        now = service.loop.time() if service.is_observed else service.now
        exchange = Exchange(self, method, target, split[0], headers, version, persists, now)
        self._route(exchange, message, special)

    def _route(self, exchange: Exchange, message: Message, special: Special) -> None:
        service = self.service
        application = service.application
        consumer = application.only or application.find("http.request", message["path"])
        self.pipeline.append(exchange)
        if len(self.pipeline) >= _PIPELINE_DEPTH:
            self.read_gate.hold(PIPELINE)
        service.requests += 1
        if service.requests >= service.most_requests:
            service.on_most_requests()
        if not special.content_length:
            exchange.is_request_complete = True
            if not exchange.persists:
                self.expects = NOTHING
            if consumer is None:
                exchange.answer(404, persists=True)
            else:
                exchange.consumer = consumer
                service.dispatcher.dispatch(consumer, message, exchange)
            return
        if consumer is None:
            self._cut_short()
            exchange.answer(404)
            return
        self._events.open_messages.append(True)
        if special.content_length < 0:
            self._cutter = ChunkedCutter()
            self._headers, self._specials = [], []  # for trailers, which are dropped: not into the message's list
        self.expects = BODY_PIECE
        self.body = RequestBody(
            service,
            consumer,
            message,
            special.content_length,
            self.read_gate,
            partial(self._say_continue, exchange) if special.expects_continue else _nothing,
            partial(self._body_ready, exchange, consumer),
            exchange.set_waiting,
        )
        self.watch.body_at = service.loop.time()
        self.body.start()

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
            size = self._cutter.cut(data[at:] if at else data)
        piece = data if size == len(data) else data[at : at + size]
        events = self._events
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            pass  # told of already, in the head
        except httptools.HttpParserError as error:
            raise parser_error(error, b"") from None
        self.watch.body_at = self.service.loop.time()
        content = events.take_content()
        if content:
            self._overhead = 0
            body.feed(content)
            if self.body is not body:  # its consumer was refused, or has answered and closed
                return at + size
        else:
            self._overhead += size
            if self._overhead > _LONGEST_CHUNK_OVERHEAD:
                raise ClientError(431, "chunk extensions or trailers too large")
        if not events.open_messages:
            self.body = None
            self._cutter = None
            self._overhead = 0
            exchange = self.pipeline[-1]
            exchange.is_request_complete = True
            self.expects = HEAD if exchange.persists and self._takes_more else NOTHING
            body.end()
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

    def _ignore_upgrade(self, content_length: int) -> None:
        """Go on as if there were no Upgrade field (RFC 9110 section 7.8).

        httptools takes what follows such a head for another protocol, a body too: a new parser, which is
        given the framing alone, reads it as what it is.
        """
        self._parser = httptools.HttpRequestParser(self._events)
        if content_length:
            self._headers, self._specials = [], []
            framing = b"transfer-encoding: chunked" if content_length < 0 else b"content-length: %d" % content_length
            self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % framing)
            self._events.targets.clear()

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
        self.expects = HEAD
        if header.size and not self.service.peers.may_send_proxy_header(self.address):
            raise ClientError(403, "PROXY header from a peer that is not in proxy_allow_ips")
        if header.client is not None:
            self._base = self.service.base_message(header.client, header.server)
        return data[header.size :]

    # ---- responses ----

    def is_first(self, exchange: Exchange) -> bool:
        """Whether it is this exchange's turn to write."""
        return bool(self.pipeline) and self.pipeline[0] is exchange

    def may_persist(self, exchange: Exchange) -> bool:
        """Whether another request of this connection will be answered."""
        if not self.is_ending:
            return True
        return self.pipeline[-1] is not exchange or bool(self._rest)

    def take_no_more(self) -> None:
        """Read no further request: a response said `connection: close` (RFC 9112 section 9.6)."""
        self._takes_more = False
        if self.expects == HEAD:
            self.expects = NOTHING

    def write(self, data: bytes) -> None:
        """Write to the client."""
        if not self.is_lost:
            self.transport.write(data)

    def buffered_bytes(self) -> int:
        """How many bytes wait for the client."""
        return self.transport.get_write_buffer_size()

    def addresses(self) -> tuple[list[str | int] | None, list[str | int] | None]:
        """Return the client's and our address, as the messages of this connection have them."""
        return self._base["client"], self._base["server"]

    def response_ended(self, exchange: Exchange) -> None:
        """Go on after a response that is complete, or lost."""
        if exchange.is_lost:
            self._let_go(exchange)
        service = self.service
        if service.is_observed:
            if service.report is not None:
                service.report(exchange)
            service.dispatcher.ended(exchange)
        if self.pipeline and self.pipeline[0] is exchange:
            self._advance()

    def _advance(self) -> None:
        while self.pipeline:
            exchange = self.pipeline[0]
            if not exchange.is_closed or exchange.is_holding:
                exchange.become_first()
            if not exchange.is_closed:
                if self._owes_continue is exchange:
                    self._say_continue(exchange)
                break
            self.pipeline.popleft()
            if exchange.is_lost or not exchange.persists or not exchange.is_request_complete:
                self.close()
                return
        else:
            if self.is_half_closed:
                self.close()
                return
        if self.gate.is_open and self.gate.waiters:
            self.gate.open()  # tell those who waited for their turn
        if not self.read_gate.reasons:
            return
        self.read_gate.release(BODY)
        if len(self.pipeline) < _PIPELINE_DEPTH and self.read_gate.reasons:
            self.read_gate.release(PIPELINE)
            if self._rest and not self._is_cutting:
                self.service.loop.call_soon(self.data_received, b"")

    def _let_go(self, exchange: Exchange) -> None:
        """Stop the consumer of a lost exchange, and tell a consumer of `http.disconnect`."""
        service = self.service
        if exchange.consumer is None:
            return
        service.dispatcher.cancel(exchange, service.limits.disconnect_grace)
        if service.application.only is None and self.is_lost:
            consumer = service.application.find("http.disconnect", exchange.path)
            if consumer is not None:
                service.dispatcher.dispatch(consumer, http_disconnect(exchange.path), Notice(exchange, consumer))

    def _say_continue(self, exchange: Exchange) -> None:
        """Ask the client for its body, if it waits to be asked (RFC 9110 section 10.1.1)."""
        if not self.is_first(exchange):
            self._owes_continue = exchange
        elif not exchange.status and self.body is not None and not self.body.size:
            self._owes_continue = None
            self.write(CONTINUE)

    # ---- the end ----

    def _refuse(self, error: ClientError) -> None:
        """Answer what is not a request, or not a complete one, in its turn, and close."""
        self.service.log.info("%d to %s: %s", error.status, self.address or "unix socket", error.reason)
        body, self.body = self.body, None
        self._cut_short()
        if self.pipeline and not self.pipeline[-1].is_request_complete:
            exchange = self.pipeline[-1]
        else:
            exchange = Exchange(self, "-", b"-", "", [], "1.1", False, self.service.loop.time())
            self.pipeline.append(exchange)
        if body is not None:
            body.fail(ReadTimeout(error.reason) if error.status == 408 else ChannelClosed(error.reason))
        exchange.answer(error.status)

    def refuse(self, error: ClientError) -> None:
        """Answer a client that is too slow. Called by the watch."""
        self._refuse(error)

    def _fail(self) -> None:
        """Be the last resort for a mistake of ours: log it, and close this connection only."""
        self.service.log.error("Error in the connection of %s", self.address or "unix socket", exc_info=True)
        self.expects = NOTHING
        self.transport.abort()

    def _cut_short(self) -> None:
        """Read no further request, though the client may still be sending this one."""
        self.expects = NOTHING
        self._rest = b""
        self._is_cut_short = True

    def close(self) -> None:
        """Close when everything is written; read on for a while if the client is still sending.

        Closing a socket with unread bytes resets the connection, and the client may then never see the answer
        (RFC 9112 section 9.6).
        """
        if self.is_lost or self.watch.is_lingering or self.transport.is_closing():
            return
        is_sending = self._is_cut_short or self._rest or self.read_gate.reasons or self.body is not None
        self.expects = NOTHING
        self._rest = b""
        self.watch.head_since = 0.0
        self._fail_all(ChannelClosed("the connection is closed"))
        self.read_gate.release(PIPELINE)
        self.read_gate.release(BODY)
        if is_sending and not self.is_half_closed and self.transport.can_write_eof():
            self.transport.write_eof()
            self.watch.linger()
        else:
            self.transport.close()

    def abort(self) -> None:
        """Close at once, whatever is on its way."""
        if not self.is_lost:
            self.transport.abort()

    def _fail_all(self, error: Exception) -> None:
        """End the body that comes in, and every exchange that is left."""
        body, self.body = self.body, None
        if body is not None:
            body.fail(error)
        pipeline, self.pipeline = self.pipeline, deque()
        for exchange in pipeline:
            exchange.lose()

    def _pause_reading(self) -> None:
        if not self.is_lost and not self.transport.is_closing():
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if not self.is_lost and not self.transport.is_closing():
            self.transport.resume_reading()


class _Events:
    """What httptools tells, gathered without a Python frame for each event: it calls methods of lists.

    Attributes:
        targets: request targets, filled by `on_url`.
        open_messages: not empty while a body comes in; emptied by `on_message_complete`.
    """

    __slots__ = ("_chunks", "on_body", "on_header", "on_message_complete", "on_url", "open_messages", "targets")

    def __init__(self, on_header: Callable[[bytes, bytes], None]) -> None:
        self.targets: list[bytes] = []
        self.open_messages: list[bool] = []
        self._chunks: list[bytes] = []
        self.on_header = on_header
        self.on_url = self.targets.append
        self.on_body = self._chunks.append
        self.on_message_complete = self.open_messages.clear

    def take_content(self) -> bytes:
        """Return the pieces of a body that came since the last call, as one."""
        chunks = self._chunks
        if not chunks:
            return b""
        content = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        return content


def _nothing() -> None:
    """Ignore that a body is wanted: the client did not ask."""


_NO_TRANSPORT: Final = asyncio.Transport()  # until the connection is made
