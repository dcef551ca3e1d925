"""From a request that asks for a socket to the socket, or to the answer that refuses it. Loop thread only.

    begin_socket (socket_begin.py)               check the handshake, find the consumer, make the WebSocket
    ... WebSocket.reply -> Handshake.accept      101, if it is this exchange's turn; the connection becomes a socket
    ... or Handshake.reply                       any other answer: the handshake is refused, the connection closed

Until then the handshake is an exchange of its connection like any other: timeouts, the order of pipelined requests, the
access log and Gunicorn's hooks are those of HTTP.

Spec: RFC 6455 section 4.2; RFC 9110 section 7.8.
"""

from __future__ import annotations

from typing import Final, Protocol

from uvicorn.connections.exchange import Exchange
from uvicorn.wire.reply import Fields

__all__ = ["Handshake"]

_SWITCHING: Final = 101  # also how the access log shows a socket over HTTP/2, where 200 is on the wire


class Awaiting(Protocol):
    """What a handshake needs of what the connection may become."""

    def on_opened(self) -> None:
        """It is its turn: the connection is its own."""

    def on_refused(self) -> None:
        """The handshake was refused, or lost."""


class Handshake(Exchange):
    """The exchange of a request that asks for a socket.

    Attributes:
        is_accepted: the consumer has accepted; 101 is written, or will be when its turn comes.
    """

    __slots__ = ("_is_due", "is_accepted", "socket")

    def __init__(self, exchange: Exchange, socket: Awaiting) -> None:
        self.socket = socket
        self.is_accepted = False
        self._is_due = False
        super().__init__(exchange.carrier, exchange.request_line, exchange.headers, False, exchange.started_at)
        self.attended = exchange.attended
        self.is_request_complete = True

    def _close(self) -> None:
        """Shut the socket, too: the handshake was refused, or lost."""
        self.is_closed = True
        self.socket.on_refused()
        super()._close()

    def accept(self, fields: Fields) -> None:
        """Open the socket: now, or when it is this exchange's turn."""
        carrier = self.carrier
        if not carrier.is_plain():  # the worker stops
            self.answer(503, retry_after=1)
            return
        self.is_accepted = True
        self.status = _SWITCHING
        carrier.service.numbers.answered(_SWITCHING)
        self.fields = fields if self.attended is None else self.attended.added_to(fields)
        self.persists = True  # nothing is to be closed
        self.is_closed = True
        self._is_due = True
        if carrier.is_first(self):
            self.become_first()
        carrier.on_response_ended(self)

    @property
    def is_holding(self) -> bool:
        """Whether something is to be written when its turn comes."""
        return self._is_due or super().is_holding

    def become_first(self) -> None:
        """Write 101 and hand the connection over; or write what was kept back."""
        if not self._is_due:
            super().become_first()
            return
        self._is_due = False
        carrier = self.carrier
        carrier.accept_socket(self.fields)
        self.socket.on_opened()
