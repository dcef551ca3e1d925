"""A WebSocket over one stream of HTTP/2: the stream looks like a transport, and the socket is the one of HTTP/1.1.

    CONNECT with :protocol websocket -> begin_tunnel -> socket_begin.begin_socket
    Handshake.accept -> Stream.accept_socket         200, and the stream stays open
    DATA -> Stream.data_came -> WebSocket.data_received -> its Intake, which waits for its turn as any other
    WebSocket -> StreamTransport.write -> Stream.put  DATA, when it is this stream's turn

A socket over which a WSGI application speaks by itself has another transport (`h2_raw_tunnel.py`).
Loop thread only. Spec: RFC 8441.
"""

from __future__ import annotations

from typing import Any, Final

from uvicorn.connections.exchange import Exchange
from uvicorn.connections.flow import WriteGate
from uvicorn.connections.h2_stream import Stream
from uvicorn.connections.h2_transport import StreamTransport
from uvicorn.connections.intake import Intake
from uvicorn.connections.service import Service
from uvicorn.connections.socket_begin import begin_socket
from uvicorn.messages import Headers, Message

__all__ = ["begin_tunnel"]

#: What a handshake over HTTP/1.1 has, and one over HTTP/2 has not: what is asked for is said by `:protocol`.
_IMPLIED: Final = (
    (b"connection", b"upgrade"),
    (b"upgrade", b"websocket"),
    (b"sec-websocket-key", b"AAAAAAAAAAAAAAAAAAAAAA=="),
)


class _Place:
    """What a handshake looks at of the order of responses: there is one alone."""

    def __init__(self, exchange: Exchange, gate: WriteGate) -> None:
        self.exchanges = [exchange]
        self.gate = gate


class _Tunnel:
    """What a handshake needs of its connection; see `Upgradable`."""

    def __init__(self, stream: Stream, client_name: str) -> None:
        self.service: Service = stream.service
        self.stream = stream
        self.transport: StreamTransport = StreamTransport(stream)
        self.pipeline: Any = _Place(stream.exchange, stream.gate)
        self.intake = Intake(stream.service.turns, _nothing_taken, _nothing)
        self.intake.transport = self.transport
        self.place: str | None = None  # the connection has it
        self.client_name = client_name

    def pause_writing(self) -> None:
        """The client is behind: the stream's gate knows."""

    def resume_writing(self) -> None:
        """The client has caught up: the stream's gate knows."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The stream is gone before the socket was accepted."""
        self.stream.client_left()

    def speak_raw(self) -> None:
        """Expect a response of HTTP/1.1 before all else that is written."""
        from uvicorn.connections.h2_raw_tunnel import RawStreamTransport  # few applications want it

        self.transport = self.intake.transport = RawStreamTransport(self.stream)


def begin_tunnel(stream: Stream, message: Message, client_name: str) -> None:
    """Begin the handshake of a socket, which may be refused at once."""
    tunnel = _Tunnel(stream, client_name)
    fields: Headers = [field for field in message["headers"] if field[0] != b"sec-websocket-key"]
    offered = fields + [list(field) for field in _IMPLIED]
    if begin_socket(tunnel, stream.exchange, message, offered, tunnel.speak_raw) is not None:
        stream.exchange = tunnel.pipeline.exchanges[-1]
        if stream.is_over:  # it was refused at once, and nobody else tells the socket
            tunnel.transport.lost()
        else:
            stream.tunnel = tunnel.transport


def _nothing_taken(_: bytes, at: int) -> int:
    return at


def _nothing() -> None:
    """Nothing waits for the end of a read."""
