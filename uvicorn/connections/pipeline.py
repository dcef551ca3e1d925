"""The exchanges of one connection, answered in the order of their requests. Loop thread only.

Only the first exchange writes; what the others reply is kept back until it is their turn. When a response is
complete the next exchange is first; when it was the last one that the connection may have, it is closed.

Spec: RFC 9112 sections 9.3 (persistence and pipelining) and 9.6 (tear-down).
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

from uvicorn.connections.carrier import Carrier
from uvicorn.connections.exchange import Exchange, Notice
from uvicorn.connections.intake import Intake
from uvicorn.connections.life import LOST, Life
from uvicorn.connections.service import Service
from uvicorn.messages import http_disconnect
from uvicorn.wire.encoder import CONTINUE
from uvicorn.wire.reply import Fields

__all__ = ["DEPTH", "Owner", "Pipeline", "let_go"]

DEPTH: Final = 16  # requests of one connection in flight; arbitrary
_SWITCHING: Final = 101
_UPGRADE: Final = b"connection: Upgrade\r\nupgrade: websocket\r\n"


class Owner(Protocol):
    """What a pipeline needs of its connection."""

    def has_more_requests(self) -> bool:
        """Whether bytes of a further request wait already."""

    def may_skip_body(self) -> bool:
        """Whether the rest of the last request's body is so short that the connection can be kept."""

    def skip_body(self) -> None:
        """Take no notice of the rest of the last request's body."""

    def take_no_more(self) -> None:
        """Read no further request: a response said `connection: close`."""

    def on_exchange_ended(self) -> None:
        """An exchange has ended: others may begin."""

    def close(self) -> None:
        """Close when everything is written."""

    def addresses(self) -> tuple[list[Any] | None, list[Any] | None]:
        """Return the client's and our address, as the messages have them."""


class Pipeline(Carrier):
    """The exchanges of one connection, and its writing side.

    Attributes:
        exchanges: in the order of their requests.
        life: of the connection.
        unsent_bytes: more than none while a file waits for the client, beside what the transport has.
        tail: an exchange that is over, while the client still takes the end of its response; let go of by the watch.
    """

    __slots__ = (
        "_intake", "_owes_continue", "exchanges", "life", "owner", "tail", "transport", "unsent_bytes",
        "written_bytes",
    )  # fmt: skip

    def __init__(self, owner: Owner, service: Service, life: Life, intake: Intake) -> None:
        super().__init__(service)
        self.owner = owner
        self.life = life
        self.transport: asyncio.Transport = _NO_TRANSPORT
        self.exchanges: list[Exchange] = []
        self._intake = intake
        self.written_bytes = 0  # but for what took the shortest way: only its growth means something
        self.unsent_bytes = 0
        self._owes_continue: Exchange | None = None
        self.tail: Exchange | None = None

    # ---- what an exchange asks for ----

    def is_lost(self) -> bool:
        """Whether nobody is left to answer."""
        return self.life.state == LOST

    def is_plain(self) -> bool:
        """Whether a complete response may be written at once and says nothing of the connection."""
        return not self.life.is_ending

    def is_first(self, exchange: Exchange) -> bool:
        """Whether it is this exchange's turn to write."""
        return bool(self.exchanges) and self.exchanges[0] is exchange

    def may_persist(self, exchange: Exchange) -> bool:
        """Whether another request of this connection will be answered."""
        if not self.life.is_ending:
            return True
        return self.exchanges[-1] is not exchange or self.owner.has_more_requests()

    def may_skip_body(self, exchange: Exchange) -> bool:
        """Whether the connection can be kept though this response is complete before its request."""
        return self._owes_continue is not exchange and self.owner.may_skip_body()

    def take_no_more(self) -> None:
        """Read no further request: a response said `connection: close`."""
        self.owner.take_no_more()

    def hint(self, fields: Fields) -> None:
        """Send 103 Early Hints."""
        self.write(b"HTTP/1.1 103 Early Hints\r\n%b\r\n" % fields.block)

    def accept_socket(self, fields: Fields) -> None:
        """Write the answer that accepts a WebSocket (RFC 6455 section 4.2.2)."""
        self.write(self.service.encoder.head(_SWITCHING, fields, None, _UPGRADE))

    def write(self, data: bytes) -> None:
        """Write to the client."""
        if self.life.state != LOST:
            self.written_bytes += len(data)
            self.service.numbers.sent_bytes += len(data)
            self.transport.write(data)

    def write_all(self, parts: tuple[bytes, ...]) -> None:
        """Write these to the client, in one call of the system: uvloop makes one for each `write`."""
        if self.life.state != LOST:
            size = sum(map(len, parts))
            self.written_bytes += size
            self.service.numbers.sent_bytes += size
            self.transport.writelines(parts)

    def buffered_bytes(self) -> int:
        """How many bytes wait for the client."""
        return self.transport.get_write_buffer_size() + self.unsent_bytes

    def addresses(self) -> tuple[list[Any] | None, list[Any] | None]:
        """Return the client's and our address, as the messages have them."""
        return self.owner.addresses()

    def abort(self) -> None:
        """Close at once, whatever is on its way."""
        if self.life.state != LOST:
            self.transport.abort()

    def finish(self, exchange: Exchange, response: bytes) -> bool:
        """Write a whole response of the first exchange, after which the connection is kept.

        Returns: whether the client has caught up.
        """
        self.transport.write(response)
        service = self.service
        service.numbers.sent_bytes += len(response)
        if service.is_observed or len(self.exchanges) > 1 or self.gate.waiters or self._intake.reasons:
            self.on_response_ended(exchange)
        else:  # nobody to tell, nobody waits: most often
            self.exchanges.clear()
            exchange.job = None
        if self.gate.is_open:
            return True
        self.tail = exchange
        return False

    def on_response_ended(self, exchange: Exchange) -> None:
        """A response is complete, or lost: the next one may be written."""
        if exchange.is_lost:
            let_go(self, exchange)
        elif not self.gate.is_open or exchange.fields.is_slow:
            self.tail = exchange
        service = self.service
        if service.is_observed:
            if service.report is not None:
                service.report(exchange)
            service.dispatcher.on_response_ended(exchange)
        if exchange.job is not None and not exchange.is_lost and not service.has_hooks:
            exchange.job = None  # they hold each other; a lost one's thread may still be waiting in a channel
        if self.is_first(exchange):  # or its turn comes later, or never
            self._advance()

    # ---- what the connection asks for ----

    def on_request_ended(self, exchange: Exchange) -> None:
        """A request is complete whose response was so before."""
        if self.is_first(exchange):
            self._advance()

    def end(self, is_stopping: bool = False) -> None:
        """Lose every exchange that is left."""
        if self.is_lost():
            self.tail = None  # they hold each other
        exchanges, self.exchanges = self.exchanges, []
        for exchange in exchanges:
            exchange.lose(is_stopping)

    def say_continue(self, exchange: Exchange) -> None:
        """Ask the client for its body, in its turn (RFC 9110 section 10.1.1)."""
        if not self.is_first(exchange):
            self._owes_continue = exchange
        elif not exchange.status and not exchange.is_request_complete:
            self._owes_continue = None
            self.write(CONTINUE)

    def _advance(self) -> None:
        exchanges = self.exchanges
        while exchanges:
            exchange = exchanges[0]
            if exchange.is_holding:
                exchange.become_first()
            if not exchange.is_closed:
                if self._owes_continue is exchange:
                    self.say_continue(exchange)
                break
            if (
                not exchange.is_request_complete
                and exchange.persists
                and not exchange.is_lost
                and (self.may_skip_body(exchange))
            ):
                self.owner.skip_body()
                break
            del exchanges[0]
            if exchange.is_lost or not exchange.persists or not exchange.is_request_complete:
                self.owner.close()
                return
        else:
            if self.life.is_half_closed and not self.owner.has_more_requests():
                self.owner.close()
                return
        self._make_room()

    def _make_room(self) -> None:
        if self.gate.is_open and self.gate.waiters:
            self.gate.open()  # tell those who waited for their turn
        self.owner.on_exchange_ended()


def let_go(carrier: Carrier, exchange: Exchange) -> None:
    """Stop the consumer of a lost exchange, and tell a consumer of `http.disconnect`."""
    service = carrier.service
    if exchange.consumer is None:
        return
    service.dispatcher.cancel(exchange, service.limits.disconnect_grace)
    if service.application.only is None and carrier.is_lost():
        path = exchange.request_line.path
        consumer = service.application.find("http.disconnect", path)
        if consumer is not None:
            service.dispatcher.dispatch(consumer, http_disconnect(path), Notice(exchange, consumer))


_NO_TRANSPORT: Final = asyncio.Transport()  # until the connection is made
