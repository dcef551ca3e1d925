"""One connection as others see it: what the pipeline and the server ask of it, and its end. Loop thread only.

What the client sends is for `connection.py`.

Spec: RFC 9112.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.connections.body import RequestBody
from uvicorn.connections.crowding import Standing
from uvicorn.connections.exchange import Exchange
from uvicorn.connections.intake import BODY as BODY_HELD
from uvicorn.connections.intake import PIPELINE, Intake
from uvicorn.connections.life import DEAF, Life
from uvicorn.connections.pipeline import DEPTH, Pipeline
from uvicorn.connections.service import Service
from uvicorn.connections.standing import make_way, standing_of
from uvicorn.connections.watch import ConnectionWatch
from uvicorn.errors import ChannelClosed, ClientError, ReadTimeout, ServerStopping
from uvicorn.wire.parser import RequestParser
from uvicorn.wire.request_line import NO_REQUEST_LINE

__all__ = ["ClientConnection"]


class ClientConnection:
    """What the pipeline and the server ask of one connection.

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
        "_parser", "address", "body", "intake", "life", "pipeline", "place", "requests", "service", "transport",
        "watch",
    )  # fmt: skip

    def __init__(self, service: Service, client: list[Any] | None, server: list[Any] | None, place: str) -> None:
        self.service = service
        self.place = place
        self.address = client[0] if client else None
        self.life = Life(service.peers.proxy_mode != "off", service.is_stopping)
        self.intake = Intake(service.turns, self._take, self._on_paused)
        self.pipeline = Pipeline(self, service, self.life, self.intake)
        self.transport = self.pipeline.transport
        self.watch = ConnectionWatch(self)
        self.body: RequestBody | None = None
        self.requests = 0
        policy = service.peers.header_policy(self.address)
        self._parser = RequestParser(service.base_message(client, server), policy, service.limits)

    def _take(self, data: bytes, at: int) -> int:
        """Take one step of what was received; return where the next one begins."""
        raise NotImplementedError

    def _on_paused(self) -> None:
        """The intake is empty, or waits for its turn."""
        raise NotImplementedError

    # ---- called by the loop ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self.transport = self.pipeline.transport = self.intake.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(self.service.limits.write_buffer)
        self.service.numbers.connections += 1
        http2 = self.service.http2
        if http2 is not None and http2.is_negotiated(transport):
            http2.begin(self, has_preface=False)
        else:
            self.service.connections.add(self)

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
