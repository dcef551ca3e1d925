"""One HTTP/1.1 connection: bytes in, exchanges out.

The way of a request:

    data_received                  one complete head; or into the intake, which gives it back step by step:
    _take                          a head, a piece of a body, what comes before the first head (`beginning.py`):
                                   `life.py` says which
    _begin                         its exchange; wire/parser.py made the message: httptools, limits, policies
    _begin_body, _take_body        body.py: take the body in, if it did not come with the head
    dispatcher.dispatch            hand the message over
    ... Exchange.reply             the answer, if it is this exchange's turn
    Pipeline.on_response_ended     the next exchange's turn, or the end of the connection

Loop thread only. Nothing escapes into the loop: what a client does wrong is a `ClientError`, answered
in `refuse`.

Spec: RFC 9112; sections are cited where they decide something.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from uvicorn.bridge.consumer import Consumer
from uvicorn.connections.addresses import NO_PLACE
from uvicorn.connections.beginning import BeginningConnection
from uvicorn.connections.body import RequestBody
from uvicorn.connections.exchange import Exchange
from uvicorn.connections.intake import PIPELINE
from uvicorn.connections.life import BODY, HEAD, LAST, LAST_BODY, PREFACE, PROXY
from uvicorn.connections.pipeline import DEPTH
from uvicorn.connections.service import Service
from uvicorn.errors import ClientError
from uvicorn.messages import Message
from uvicorn.wire.bodies import ChunkedReader, LengthReader

__all__ = ["HTTPConnection"]

_MOST_LINES: Final = 64  # of chunks that are taken in one step; arbitrary
_HEAD_END: Final = b"\r\n\r\n"
_LETTER_A: Final = 0x41


class HTTPConnection(BeginningConnection):
    """One connection of a client: bytes in, exchanges out. Arguments as those of its base."""

    __slots__ = ("_body_reader", "_most_whole", "_sends_ahead", "_turns")

    def __init__(
        self, service: Service, client: list[Any] | None, server: list[Any] | None, place: str = NO_PLACE
    ) -> None:
        super().__init__(service, client, server, place)
        self._turns = service.turns
        self._sends_ahead = False  # it has sent more than a head at once: from then on the ends of heads are looked for
        self._body_reader: ChunkedReader | LengthReader | None = None
        limits = service.limits
        # Bytes of a body that is taken at once if it has come with its head.
        self._most_whole = min(limits.body_buffer, limits.request_body or limits.body_buffer)

    # ---- called by the loop ----

    def data_received(self, data: bytes) -> None:
        """Take in what the client sent."""
        turns = self._turns
        self.service.numbers.received_bytes += len(data)
        if (
            self.life.state != HEAD
            or self.intake.reasons
            or turns.left <= 0
            or self._buffer.data
            or self._sends_ahead
            or not data.endswith(_HEAD_END)
            or data[0] < _LETTER_A
        ):
            self.intake.receive(data)
            return
        turns.spend(1)  # one complete head and nothing behind it: most often
        try:
            message = self._parser.lone_head(data)
            if message is None:
                self._sends_ahead = True
                self.intake.receive(data)
            else:
                self._begin(message, data, len(data))
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
            if state == PREFACE:
                return self._take_preface(data, at)
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
            return self._begin(self._parser.head(head), data, buffer.end)
        if buffer.data:
            self.watch.on_head_began()
        else:
            self.watch.head_since = 0.0
        return buffer.end

    def _begin(self, message: Message, data: bytes, at: int) -> int:
        """Begin the exchange of a head that was parsed.

        Args:
            data: what was received; the bytes behind the head begin `at` there.

        Returns: where the next bytes begin: behind the body, if all of it is there and it is small.
        Raises: ClientError.
        """
        service = self.service
        pipeline = self.pipeline
        parser = self._parser
        request_line = parser.request_line
        special = parser.special
        headers = message["headers"]
        if service.is_observed:  # what is reported must not change with what the consumer does to its message
            headers = [*map(list, headers)]
        exchange = Exchange.__new__(Exchange)
        exchange.begin(
            pipeline,
            request_line,
            headers,
            special.persists and service.keeps_connections,
            service.clock() if service.is_observed else service.now,
        )
        if service.attendants is not None:
            service.attendants.begin(exchange, message, parser.is_believed)
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
        size = special.content_length
        if size or special.is_chunked or special.asks_for_socket:
            is_whole = 0 < size <= self._most_whole and size <= len(data) - at
            if not is_whole or special.expects_continue or consumer is None:
                self._begin_body(exchange, consumer, message)
                return at
            message["body"] = data[at : at + size]
            at += size
            self.intake.more_steps += 1
        exchange.is_request_complete = True
        self.intake.note_taken(at)
        if not exchange.persists:
            self.life.on("ends_here")
        if consumer is None:
            exchange.answer(404, persists=True)
        else:
            exchange.consumer = consumer
            service.dispatcher.dispatch(consumer, message, exchange)
        return at

    def _begin_body(self, exchange: Exchange, consumer: Consumer | None, message: Message) -> None:
        special = self._parser.special
        if special.asks_for_socket:
            self.life.on("upgrades")
            from uvicorn.connections.socket_begin import begin_socket  # websockets is wanted by the first socket

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
            partial(exchange.on_body_ready, consumer),
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
