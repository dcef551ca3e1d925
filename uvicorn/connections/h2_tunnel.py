"""A WebSocket over one stream of HTTP/2: the stream looks like a transport, and the socket is the one of HTTP/1.1.

    CONNECT with :protocol websocket -> begin_tunnel -> socket_begin.begin_socket
    Handshake.accept -> Stream.accept_socket         200, and the stream stays open
    DATA -> Stream.data_came -> WebSocket.data_received -> its Intake, which waits for its turn as any other
    WebSocket -> StreamTransport.write -> Stream.put  DATA, when it is this stream's turn

Loop thread only. Spec: RFC 8441.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from uvicorn.connections.exchange import Exchange
from uvicorn.connections.flow import WAITING_BYTES, WriteGate
from uvicorn.connections.h2_stream import Stream
from uvicorn.connections.intake import UNREAD, Intake
from uvicorn.connections.service import Service
from uvicorn.connections.socket_begin import begin_socket
from uvicorn.messages import Headers, Message
from uvicorn.wire.h2_engine import CANCEL

__all__ = ["StreamTransport", "begin_tunnel"]

#: What a handshake over HTTP/1.1 has, and one over HTTP/2 has not: what is asked for is said by `:protocol`.
_IMPLIED: Final = (
    (b"connection", b"upgrade"),
    (b"upgrade", b"websocket"),
    (b"sec-websocket-key", b"AAAAAAAAAAAAAAAAAAAAAA=="),
)


class StreamTransport(asyncio.Transport):
    """A stream in the shape of a transport."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream
        self._protocol: asyncio.Protocol = asyncio.Protocol()
        self._is_paused = self._is_closing = self._is_lost = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Set who is told of what comes."""
        self._protocol = cast(asyncio.Protocol, protocol)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, in the stream's turn."""
        stream = self._stream
        if stream.is_over or stream.is_sent:
            return
        stream.put(bytes(data), False)
        if stream.queued_bytes > stream.service.limits.write_buffer and not self._is_paused:
            self._is_paused = True
            self._protocol.pause_writing()

    def close(self) -> None:
        """End the stream behind what was written."""
        if not self._is_closing:
            self._is_closing = True
            self.write_eof()
            if self._stream.is_over or self._stream.is_sent:
                self.lost()

    def write_eof(self) -> None:
        """End our side of the stream behind what was written."""
        if not self._stream.is_over and not self._stream.is_sent:
            self._stream.put(b"", True)

    def can_write_eof(self) -> bool:
        """Whether one side can be closed alone."""
        return True

    def abort(self) -> None:
        """Reset the stream."""
        self._is_closing = True
        self._stream.reset(CANCEL)
        self.lost()

    def is_closing(self) -> bool:
        """Whether nothing is to be written any more."""
        return self._is_closing

    def pause_reading(self) -> None:
        """Leave the window closed."""
        self._stream.credit.hold(UNREAD)

    def resume_reading(self) -> None:
        """Open the window."""
        self._stream.credit.release(UNREAD)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait for the client."""
        return self._stream.queued_bytes

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return how much waits for the client, and nothing else: a stream has no socket of its own."""
        return self._stream.buffered_bytes() if name == WAITING_BYTES else default

    # ---- told by the stream ----

    def data_came(self, data: bytes) -> None:
        """The client has sent something."""
        if not self._is_lost:
            self._protocol.data_received(data)

    def eof_came(self) -> None:
        """The client sends nothing more."""
        if self._is_lost:
            return
        if not self._stream.exchange.status:  # nothing is accepted yet, and content may not come before that
            self.abort()
        elif not self._protocol.eof_received():
            self.close()

    def drained(self) -> None:
        """The client has taken something."""
        if self._is_paused and self._stream.queued_bytes <= self._stream.service.limits.write_buffer // 4:
            self._is_paused = False
            self._protocol.resume_writing()

    def ended(self) -> None:
        """All was sent."""
        if self._is_closing:
            self.lost()

    def lost(self) -> None:
        """The stream is closed, or gone."""
        if not self._is_lost:
            self._is_lost = self._is_closing = True
            self._stream.service.loop.call_soon(self._protocol.connection_lost, None)


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
        self.transport = StreamTransport(stream)
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


def begin_tunnel(stream: Stream, message: Message, client_name: str) -> None:
    """Begin the handshake of a socket, which may be refused at once."""
    tunnel = _Tunnel(stream, client_name)
    fields: Headers = [field for field in message["headers"] if field[0] != b"sec-websocket-key"]
    offered = fields + [list(field) for field in _IMPLIED]
    if begin_socket(tunnel, stream.exchange, message, offered) is not None:
        stream.exchange = tunnel.pipeline.exchanges[-1]
        if not stream.is_over:
            stream.tunnel = tunnel.transport


def _nothing_taken(_: bytes, at: int) -> int:
    return at


def _nothing() -> None:
    """Nothing waits for the end of a read."""
