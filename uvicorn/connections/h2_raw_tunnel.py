"""A raw socket of a WSGI application (`raw_socket.py`) over one stream of HTTP/2. Loop thread only.

The application speaks as over HTTP/1.1: it finds the fields of that handshake in its environ, and writes a response
with 101 before all else. Here that becomes the head of the stream's response, which is 200; what follows is carried.
"""

from __future__ import annotations

from typing import Any, Final

from uvicorn.connections.h2_stream import Stream
from uvicorn.connections.h2_transport import StreamTransport
from uvicorn.errors import ReplyError
from uvicorn.wire.reply import Fields, encode_fields

__all__ = ["RawStreamTransport"]

_LONGEST_HEAD: Final = 65536  # bytes; arbitrary
_SWITCHING: Final = b"HTTP/1.1 101"
_END: Final = b"\r\n\r\n"


class RawStreamTransport(StreamTransport):
    """The stream in the shape of a transport to which a response of HTTP/1.1 is written first."""

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream)
        self._head: bytes | None = b""  # what was written of it; None when it is complete

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, in the stream's turn; the head at once."""
        if self._head is not None:
            self._head += bytes(data)
            head, end, data = self._head.partition(_END)
            if end or len(head) > _LONGEST_HEAD:
                self._send_head(head if end else b"")
            if self._head is not None or not data:
                return
        super().write(data)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return as other streams do; as the socket that of the connection: keepalive finds a client that vanished."""
        if name == "socket":
            owner: Any = self._stream.owner
            return owner.transport.get_extra_info(name, default)
        return super().get_extra_info(name, default)

    def close(self) -> None:
        """End the stream behind what was written."""
        if self._head is None:
            super().close()
        elif not self.is_closing():
            self.abort()

    def _send_head(self, head: bytes) -> None:
        stream = self._stream
        try:
            fields = _fields_of(head)
        except ReplyError as error:
            exchange = stream.exchange
            stream.service.log_of(exchange).error(
                "%s began its socket with what is no response to a handshake: %s: %s",
                exchange.consumer_name,
                error,
                exchange.shown_line,
            )
            self.abort()
            return
        self._head = None
        if not stream.is_over:
            stream.accept_socket(fields)


def _fields_of(head: bytes) -> Fields:
    """Return the fields of a response with 101. Raises: ReplyError."""
    status, *lines = head.split(b"\r\n")
    if not status.startswith(_SWITCHING):
        raise ReplyError(f"{status[:40]!r} instead of 101")
    pairs = [line.partition(b":") for line in lines]
    return encode_fields([(name, value.strip(b" \t")) for name, _, value in pairs])
