"""One HTTP/1.1 connection: bytes in, exchanges out.

The way of a request:

    data_received                  one complete head; or into the intake, which gives it back step by step:
    _take                          a head, a piece of a body, a PROXY header: `life.py` says which
    _take_head                     wire/parser.py: httptools, limits, policies; the message and its exchange
    _begin_body, _take_body        body.py: take the body in, if there is one
    dispatcher.dispatch            hand the message over
    ... Exchange.reply             the answer, if it is this exchange's turn
    Pipeline.on_response_ended     the next exchange's turn, or the end of the connection

Loop thread only. Nothing escapes into the loop: what a client does wrong is a `ClientError`, answered
in `refuse`.

Spec: RFC 9112; sections are cited where they decide something.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final, cast

from uvicorn.bridge.consumer import Consumer
from uvicorn.connections.addresses import NO_PLACE
from uvicorn.connections.body import RequestBody
from uvicorn.connections.crowding import Standing
from uvicorn.connections.exchange import Exchange
from uvicorn.connections.handshake import begin_socket
from uvicorn.connections.intake import BODY as BODY_HELD
from uvicorn.connections.intake import PIPELINE, Intake
from uvicorn.connections.life import BODY, DEAF, HEAD, LAST, LAST_BODY, PROXY, Life
from uvicorn.connections.pipeline import DEPTH, Pipeline
from uvicorn.connections.service import Service
from uvicorn.connections.standing import make_way, standing_of
from uvicorn.connections.watch import ConnectionWatch
from uvicorn.errors import ChannelClosed, ClientError, ReadTimeout, ServerStopping
from uvicorn.messages import Message
from uvicorn.wire.bodies import ChunkedReader, LengthReader
from uvicorn.wire.framing import HeadBuffer
from uvicorn.wire.parser import RequestParser
from uvicorn.wire.proxy import LONGEST_PROXY_HEADER, read_proxy_header
from uvicorn.wire.request_line import NO_REQUEST_LINE

__all__ = ["HTTPConnection"]

_MOST_LINES: Final = 64  # of chunks that are taken in one step; arbitrary
_HEAD_END: Final = b"\r\n\r\n"
_LETTER_A: Final = 0x41


class HTTPConnection:
    """One connection of a client.

    Args:
        client, server: [address, port] of both ends, or None for a unix socket.
        place: what the client has taken in `service.addresses`.

    Attributes:
        life: where the connection is in its life.
        intake: what was received and not taken; asked for whether it is read from the client.
        body: the body of the last exchange, while it comes in.
        requests: how many heads were read.
    """

    __slots__ = (
        "_body_reader", "_buffer", "_parser", "_turns", "address", "body", "intake", "life", "pipeline", "place",
        "requests", "service", "transport", "watch",
    )  # fmt: skip

    def __init__(
        self, service: Service, client: list[Any] | None, server: list[Any] | None, place: str = NO_PLACE
    ) -> None:
        self.service = service
        self.place = place
        self.address = client[0] if client else None
        self.life = Life(service.peers.proxy_mode != "off", service.is_stopping)
        self._turns = service.turns
        self.intake = Intake(service.turns, self._take, self._on_paused)
        self.pipeline = Pipeline(self, service, self.life, self.intake)
        self.transport = self.pipeline.transport
        self.watch = ConnectionWatch(self)
        self.body: RequestBody | None = None
        self.requests = 0
        policy = service.peers.header_policy(self.address)
        self._parser = RequestParser(service.base_message(client, server), policy, service.limits)
        self._buffer = HeadBuffer(service.limits)
        self._body_reader: ChunkedReader | LengthReader | None = None

    # ---- called by the loop ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self.transport = self.pipeline.transport = self.intake.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(self.service.limits.write_buffer)
        self.service.connections.add(self)
        self.service.numbers.connections += 1

    def data_received(self, data: bytes) -> None:
        """Take in what the client sent."""
        turns = self._turns
        self.service.numbers.received_bytes += len(data)
        if (
            self.life.state != HEAD
            or self.intake.reasons
            or turns.left <= 0
            or self._buffer.data
            or not data.endswith(_HEAD_END)
            or data.find(_HEAD_END) + len(_HEAD_END) != len(data)
            or data[0] < _LETTER_A
        ):
            self.intake.receive(data)
            return
        turns.spend(1)  # one complete head and nothing behind it: most often
        try:
            self._take_head(data)
        except ClientError as error:
            self.refuse(error)
        except Exception:
            self._fail()

    def eof_received(self) -> bool:
        """The client sends nothing more: the connection is kept while answers are due."""
        if not self.intake.is_held:
            self.intake.work()  # it came before the end
        self.life.on_half_closed()
        if not self.pipeline.exchanges:
            return False  # nothing to answer
        if self.body is not None or not self.transport.can_write_eof():
            # It left in the middle of its request; or TLS, which is never half closed. At once: a transport that closes
            # sends first what it has, and nobody would notice while the client takes nothing.
            self.transport.abort()
            return False
        return self.watch.on_half_closed()

    def pause_writing(self) -> None:
        """The client is behind."""
        self.pipeline.gate.close()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.pipeline.gate.open()
        self._take_more_requests()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: nobody is left to answer."""
        self.life.on("lost")
        self.intake.drop()
        self.service.connections.discard(self)
        self._fail_body(ChannelClosed("the client has left"))
        self.pipeline.end()
        self.pipeline.gate.open()
        self.service.on_connection_lost(self.place)

    # ---- requests ----

    def _take(self, data: bytes, at: int) -> int:
        """Take one step of what was received; return where the next one begins."""
        state = self.life.state
        try:
            if state == HEAD:
                return self._find_head(data, at)
            if state in (BODY, LAST_BODY):
                return self._take_body(data, at)
            if state == PROXY:
                return self._take_proxy_header(data, at)
            if state == LAST:
                self.life.on("is_cut_short")
        except ClientError as error:
            self.refuse(error)
        except Exception:
            self._fail()
        return len(data)

    def _on_paused(self) -> None:
        """The intake is empty, or waits for its turn: a consumer that begins early gets what has come."""
        if self.body is not None:
            self.body.on_paused()

    def _fail(self) -> None:
        """End the connection, and no other, for a mistake of ours."""
        self.service.log.error("Error in the connection of %s", self.address or "unix socket", exc_info=True)
        self.life.on("is_cut_short")
        self.transport.abort()

    def _find_head(self, data: bytes, at: int) -> int:
        """Take the next head, if it is complete; return where the next bytes begin."""
        buffer = self._buffer
        head = buffer.take(data, at)
        if head is not None:
            self.watch.head_since = 0.0
            self._take_head(head)
        elif buffer.data:
            self.watch.on_head_began()
        return buffer.end

    def _take_head(self, data: bytes) -> None:
        """Parse one complete head and start its exchange.

        Raises: ClientError.
        """
        service = self.service
        pipeline = self.pipeline
        parser = self._parser
        message = parser.head(data)
        request_line = parser.request_line
        special = parser.special
        headers = message["headers"]
        if service.is_observed:  # what is reported must not change with what the consumer does to its message
            headers = [*map(list, headers)]
        exchange = Exchange(
            pipeline,
            request_line,
            headers,
            special.persists and service.keeps_connections,
            service.clock() if service.is_observed else service.now,
        )
        exchanges = pipeline.exchanges
        exchanges.append(exchange)
        if len(exchanges) >= DEPTH or not pipeline.gate.is_open:
            self.intake.hold(PIPELINE)
        self.requests += 1
        service.requests += 1
        if service.requests >= service.most_requests:
            service.on_most_requests()
        application = service.application
        consumer = application.only or application.find("http.request", request_line.path, message)
        if special.content_length or special.is_chunked or special.asks_for_socket:
            self._begin_body(exchange, consumer, message)
            return
        exchange.is_request_complete = True
        if not exchange.persists:
            self.life.on("ends_here")
        if consumer is None:
            exchange.answer(404, persists=True)
        else:
            exchange.consumer = consumer
            service.dispatcher.dispatch(consumer, message, exchange)

    def _begin_body(self, exchange: Exchange, consumer: Consumer | None, message: Message) -> None:
        special = self._parser.special
        if special.asks_for_socket:
            self.life.on("upgrades")
            if not begin_socket(self, exchange, message):
                self.life.on("ends_here")
            return
        if consumer is None:
            self._cut_short()
            exchange.answer(404)
            return
        self.life.on("body_begins")
        self._body_reader = ChunkedReader() if special.is_chunked else LengthReader(special.content_length)
        self.body = RequestBody(
            self.service,
            consumer,
            message,
            None if special.is_chunked else special.content_length,
            self.intake,
            partial(self.pipeline.say_continue, exchange) if special.expects_continue else None,
            partial(self._on_body_ready, exchange, consumer),
            exchange.set_waiting,
        )
        self.watch.body_at = self.service.loop.time()
        self.body.start(is_alone=not self.intake.is_working)

    def _take_body(self, data: bytes, at: int) -> int:
        """Feed one piece of a body; return where the next bytes begin.

        Raises: ClientError.
        """
        body, reader = self.body, self._body_reader
        assert body is not None
        assert reader is not None
        content = reader.read(data, at, _MOST_LINES)
        self.watch.body_at = self.service.loop.time()
        if content:
            body.feed(content)
            if self.body is not body:  # its consumer was refused, or has answered and closed
                return reader.end
        if reader.is_complete:
            self.body = self._body_reader = None
            exchange = self.pipeline.exchanges[-1]
            exchange.is_request_complete = True
            self.life.on("body_ended")
            if not exchange.persists:
                self.life.on("ends_here")
            body.end()
            if exchange.is_closed:
                self.pipeline.on_request_ended(exchange)
        return reader.end

    def _on_body_ready(self, exchange: Exchange, consumer: Consumer, message: Message | None, error: Any) -> None:
        if exchange.is_closed:
            return
        if message is not None and error is None:
            exchange.consumer = consumer
            self.service.dispatcher.dispatch(consumer, message, exchange)
        elif error is not None:
            self.service.log.error("Cannot keep a request body in a temporary file: %s", error)
            exchange.answer(500)

    def _take_proxy_header(self, data: bytes, at: int) -> int:
        """Read the PROXY header, if there is one; return where the next bytes begin.

        Raises: ClientError, 400, or 403 from a peer that is not in `proxy_allow_ips`.
        """
        gathered = self._buffer.data
        before = len(gathered)
        gathered += data[at : at + LONGEST_PROXY_HEADER]
        header = read_proxy_header(gathered, self.service.peers.proxy_mode)
        if header is None:
            self.watch.on_head_began()
            return min(len(data), at + LONGEST_PROXY_HEADER)
        self.life.on("proxy_read")
        if not header.size:
            held = bytes(gathered[:before])
            gathered.clear()
            if held:  # what began like a PROXY header: no complete head
                self._buffer.take(held, 0)
            return self._find_head(data, at)
        gathered.clear()
        if not self.service.peers.may_send_proxy_header(self.address):
            raise ClientError(403, "PROXY header from a peer that is not in proxy_allow_ips")
        if header.client is not None:
            place = self.service.addresses.enter_proxied(str(header.client[0]))
            if place is None:
                raise ClientError(503, "too many connections of this client (limit_connections_per_address)")
            self.place = place
            self._parser.set_policy(self.service.peers.policy_behind(self.address, str(header.client[0])))
            self._parser.set_base(self.service.base_message(header.client, header.server))
        return at + header.size - before

    # ---- called by the pipeline ----

    def has_more_requests(self) -> bool:
        """Whether bytes of a further request wait already."""
        return self.intake.waiting_bytes > 0

    def may_skip_body(self) -> bool:
        """Whether the rest of the last request's body is so short that the connection can be kept."""
        return self.body is not None and self.body.may_skip()

    def skip_body(self) -> None:
        """Take no notice of the rest of the last request's body."""
        if self.body is not None:
            self.body.skip()

    def take_no_more(self) -> None:
        """Read no further request: a response said `connection: close` (RFC 9112 section 9.6)."""
        self.life.on("ends_here")

    def on_exchange_ended(self) -> None:
        """An exchange has ended: reading goes on, if it was held for that."""
        if self.intake.is_held:
            self.intake.release(BODY_HELD)
            self._take_more_requests()

    def _take_more_requests(self) -> None:
        """Read further requests, if there is room for them and the client takes its answers."""
        if self.intake.reasons & PIPELINE and len(self.pipeline.exchanges) < DEPTH and self.pipeline.gate.is_open:
            self.intake.release(PIPELINE)

    @property
    def client_name(self) -> str:
        """The client's address for the log; that of a proxy's client, if the proxy has said it."""
        client = self.addresses()[0]
        return client[0] if client else "unix socket"

    def addresses(self) -> tuple[list[Any] | None, list[Any] | None]:
        """Return the client's and our address, as the messages of this connection have them."""
        return self._parser.base["client"], self._parser.base["server"]

    # ---- the end ----

    def refuse(self, error: ClientError) -> None:
        """Answer what is not a request, or not a complete one, in its turn, and close."""
        log = self.service.log
        tell = log.debug if error.status == 503 else log.info  # those are counted, and told in one line
        tell("%d to %s: %s", error.status, self.client_name, error.reason)
        self._cut_short()
        exchanges = self.pipeline.exchanges
        if exchanges and not exchanges[-1].is_request_complete:
            exchange = exchanges[-1]
        else:
            exchange = Exchange(self.pipeline, NO_REQUEST_LINE, [], False, self.service.clock())
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
        life, intake = self.life, self.intake
        if life.is_over or self.transport.is_closing():
            return
        is_sending = life.state == DEAF or intake.reasons or self.body is not None
        lingers = is_sending and not life.is_half_closed and self.transport.can_write_eof()
        life.on("lingers" if lingers else "closes")
        self.watch.head_since = 0.0
        self._fail_body(ChannelClosed("the connection is closed"))
        self.pipeline.end()
        intake.hand_over(self._take)
        intake.drop()
        intake.release(PIPELINE | BODY_HELD)
        if lingers:
            self.transport.write_eof()
            self.watch.linger()
        else:
            self.transport.close()

    def standing(self, now: float) -> Standing:
        """Return what the connection is doing, for who has to choose among all of them."""
        return standing_of(self, now)

    def make_way(self, state: str) -> None:
        """Close, so that others have the place at once."""
        make_way(self, state)

    def in_flight(self) -> tuple[Exchange, ...]:
        """Return the exchanges that are not answered."""
        return tuple(self.pipeline.exchanges)

    def cut(self) -> None:
        """Close at once, whatever is on its way."""
        self.pipeline.abort()

    def begin_ending(self) -> None:
        """Have the next response say that it is the last one: the worker stops."""
        self.life.is_ending = True

    def abort(self) -> None:
        """Close at once, because the worker stops, and say so to whoever waits for this connection."""
        self._fail_body(ServerStopping("the worker is stopping"))
        self.pipeline.end(is_stopping=True)
        self.pipeline.gate.open()
        self.pipeline.abort()

    def _cut_short(self) -> None:
        """Read no further request, though the client may still be sending this one."""
        self.life.on("is_cut_short")
        self.intake.drop()

    def _fail_body(self, error: Exception) -> None:
        body, self.body = self.body, None
        if body is not None:
            body.fail(error)
