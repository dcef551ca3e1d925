"""A stream of HTTP/2 in the shape of a transport, for a socket that it carries (`h2_tunnel.py`). Loop thread only."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.connections.flow import WAITING_BYTES
from uvicorn.connections.h2_stream import Stream
from uvicorn.connections.intake import UNREAD
from uvicorn.wire.h2_engine import CANCEL

__all__ = ["StreamTransport"]


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
