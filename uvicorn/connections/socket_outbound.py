"""What goes out to the client of a socket: replies to frames, and how far the client is behind. Loop thread only.

Life of a socket:

    CONNECTING   the handshake waits for the consumer's answer (handshake.py)
    OPEN         messages go both ways; after the client's close frame until what it sent before is replied to
    CLOSING      a close frame was sent: the client's is awaited, `websocket_close_timeout` long
    CLOSED       the connection is gone; calls that wait still run, `websocket.disconnect` last

What a consumer sends is encoded and written; above `write_buffer` bytes that wait for the client senders wait too
(`channels.py`). Before 101 is written it is held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from uvicorn.connections.flow import FLOOD_FACTOR, WAITING_BYTES, WriteGate
from uvicorn.connections.service import Service
from uvicorn.connections.upgrade import Handshake
from uvicorn.wire.frames import SocketCodec
from uvicorn.wire.shared import SharedMessage
from uvicorn.wire.socket_reply import NOTHING, Action, SocketReply

__all__ = ["CLOSED", "CLOSING", "CONNECTING", "OPEN", "SocketOutbound"]

CONNECTING: Final = 0
OPEN: Final = 1
CLOSING: Final = 2
CLOSED: Final = 3


class SocketOutbound:
    """The sending side of one socket.

    Attributes:
        handshake: the exchange of the request that asked for the socket; None once it is accepted.
        gate: open while the client takes what is written.
        is_closed: takes nothing more to send. Read by any thread, as is the next one.
        is_lost: as for an exchange.
        written_bytes: frames, without the answer to the handshake.
        sent_messages: how many were written for threads; a sign of life of theirs (`bridge/stuck.py`).
    """

    __slots__ = (
        "_codec", "_held", "_held_bytes", "_state", "gate", "handshake", "is_closed", "is_lost", "sent_messages",
        "transport", "write_buffer", "written_bytes",
    )  # fmt: skip

    service: Service  # kept by the socket

    def __init__(self, transport: asyncio.Transport, codec: SocketCodec, write_buffer: int) -> None:
        self.transport = transport
        self._codec = codec
        self._state = CONNECTING
        self.handshake: Handshake | None = None
        self.gate = WriteGate()
        self.write_buffer = write_buffer
        self.written_bytes = 0
        self.sent_messages = 0
        self._held: list[SocketReply] | None = None  # sent before 101 could be written
        self._held_bytes = 0
        self.is_closed = self.is_lost = False

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, and wait for the client's."""
        raise NotImplementedError

    # ---- what the channel asks for ----

    def message(self, opcode: int, data: bytes) -> bool | None:
        """Send one message, TEXT or BINARY, if the socket is open and the client has caught up.

        Returns: whether the client has caught up with this message, too; None if nothing was done.
        """
        gate = self.gate
        if self._state != OPEN or self.is_closed or not gate.is_open:
            return None
        frame = self._codec.message(opcode, data)
        self.written_bytes += len(frame)
        self.service.numbers.sent_bytes += len(frame)
        self.transport.write(frame)
        return gate.is_open

    def shared(self, message: SharedMessage) -> bool | None:
        """Send a message that goes to many sockets; as `message`."""
        gate = self.gate
        if self._state != OPEN or self.is_closed or not gate.is_open:
            return None
        frame = self._codec.shared(message)
        self.written_bytes += len(frame)
        self.service.numbers.sent_bytes += len(frame)
        self.transport.write(frame)
        return gate.is_open

    def reply(self, reply: SocketReply) -> bool | None:
        """Do what one checked reply says; do nothing if the socket is closed."""
        opcode, action, data, _ = reply
        if self._state != OPEN:
            if self._state == CONNECTING:
                self._reply_early(reply, action)
            return None
        if opcode != NOTHING:
            frame = self._codec.message(opcode, data)
            self.written_bytes += len(frame)
            self.service.numbers.sent_bytes += len(frame)
            self.sent_messages += 1
            self.transport.write(frame)
        if action is not None and action.close_code:
            self.close(action.close_code, action.reason)
        return None

    def is_writable(self) -> bool:
        """Whether the client has caught up."""
        if self._held is not None:
            return self._held_bytes <= self.write_buffer
        return self.gate.is_open

    def is_flooded(self) -> bool:
        """Whether so much waits for the client that a message must be refused."""
        if self.gate.is_open and self._held is None:
            return False
        waiting = self.transport.get_extra_info(WAITING_BYTES)
        if waiting is None:
            waiting = self.transport.get_write_buffer_size()
        return bool(self._held_bytes + waiting > self.write_buffer * FLOOD_FACTOR)

    def when_writable(self, callback: Callable[[], None]) -> None:
        """Call back once, when the client has caught up or the socket is closed."""
        self.gate.wait(callback)

    def _reply_early(self, reply: SocketReply, action: Action | None) -> None:
        handshake = self.handshake
        assert handshake is not None
        if handshake.is_closed and not handshake.is_accepted:
            return
        if action is not None and action.refuses:
            handshake.answer(403)
            return
        if self._held is None:
            self._held = []
        self._held.append(reply)
        self._held_bytes += len(reply[2])
        if not handshake.is_accepted:
            assert action is not None  # the first reply that does not refuse accepts
            block = self._codec.fields.block
            if action.subprotocol is not None:
                block += b"sec-websocket-protocol: %b\r\n" % action.subprotocol.encode("latin-1")
            handshake.accept(action.fields.after(block))

    def on_refused(self) -> None:
        """The handshake was refused, or lost."""
        self._shut()

    def _open(self, is_writable: bool) -> None:
        """Write what was sent before 101 could be written."""
        self._state = OPEN
        self.gate.is_open = is_writable
        held, self._held = self._held, None
        self._held_bytes = 0
        for reply in held or ():
            self.reply(reply)
        if self.gate.is_open:
            self.gate.open()  # tell those who waited for the handshake

    # ---- bytes, and the end ----

    def write(self, data: bytes) -> None:
        """Write what the codec has to say itself."""
        if not self.transport.is_closing():
            self.written_bytes += len(data)
            self.service.numbers.sent_bytes += len(data)
            self.transport.write(data)

    def ping(self) -> None:
        """Ask the client for a sign of life."""
        if self._state == OPEN:
            self.write(self._codec.ping())

    @property
    def is_answering(self) -> bool:
        """Whether the client's close frame waits for its answer."""
        return self._codec.owes_close

    def _send_close(self, code: int, reason: str) -> bool:
        """Send a close frame, or hold it until 101 is written; return whether it was sent."""
        if self._state == CONNECTING and self._held is not None:  # accepted, but its turn has not come
            self._held.append((NOTHING, Action(close_code=code, reason=reason), b"", False))
        if self._state != OPEN:
            return False
        self._state = CLOSING
        self.write(self._codec.close(code, reason))
        self._shut()
        return True

    def _hang_up(self) -> None:
        """Close the connection, behind the close frame.

        A client that made a mistake may still be sending; closed with unread bytes it would be reset, and not see
        the frame.
        """
        if self._codec.received_code or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self.transport.write_eof()

    def _shut(self) -> None:
        """Take nothing more to send, and wake those who wait."""
        if not self.is_closed:
            self.is_closed = self.is_lost = True
            self.gate.open()
