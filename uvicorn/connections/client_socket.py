"""One socket as others see it: how logs call it, and how it ends. Loop thread only.

close          a close frame is sent, and the client's is awaited
answer_close   the client's close frame is answered, behind the replies to what came just before
abort, cut     at once
"""

from __future__ import annotations

from typing import Final

from uvicorn.bridge.consumer import Consumer
from uvicorn.connections.attendants import Attended
from uvicorn.connections.crowding import SOCKET, Standing
from uvicorn.connections.socket_inbound import SocketInbound
from uvicorn.connections.socket_outbound import CLOSED, CLOSING, OPEN, SocketOutbound
from uvicorn.connections.socket_watch import SocketWatch

__all__ = ["FAILED", "ClientSocket"]

FAILED: Final = 1011
_RESTART: Final = 1012
_OVERLOADED: Final = 1013


class ClientSocket(SocketOutbound):
    """What logs, the watch and the server ask of one socket.

    Attributes:
        is_stopping: as for an exchange. Read by any thread.
        method: the channel of the last call, for logs.
    """

    __slots__ = ("_channel_name", "attended", "consumer", "inbound", "is_stopping", "method", "watch")

    attended: Attended | None
    consumer: Consumer | None
    inbound: SocketInbound
    is_stopping: bool
    method: str
    watch: SocketWatch
    _channel_name: str

    def __repr__(self) -> str:
        return f"<WebSocket {self.shown_target} {self.state_name}>"

    @property
    def state_name(self) -> str:
        """What it is doing, in a word. Runs on: any thread."""
        return ("connecting", "open", "closing", "closed")[self._state]

    @property
    def consumer_name(self) -> str:
        """How logs call the consumer."""
        return self.consumer.name if self.consumer is not None else "no consumer"

    @property
    def shown_target(self) -> str:
        """The path, safe to log."""
        return self.inbound.path.encode("ascii", "backslashreplace").decode()

    @property
    def shown_line(self) -> str:
        """The channel of the last call and the path, safe to log."""
        return f"{self.method} {self.shown_target}"

    # ---- the end ----

    def _shut(self) -> None:
        """Take nothing more to send, and wake those who wait; it is a member of no group any more."""
        super()._shut()
        self.service.outbox.directory.closed(self._channel_name)

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, and wait for the client's; or answer the client's, with its own code."""
        if self._state == OPEN and self._codec.owes_close:
            self.answer_close()
        elif self._send_close(code, reason):
            self.watch.on_closing()
            self.inbound.end()

    def close_slow(self, reason: str) -> None:
        """Close, because one side has not kept up with the other."""
        self.service.log_of(self).info("1013 to %s: %s", self.shown_target, reason)
        self.inbound.calls.clear()
        self.close(_OVERLOADED, reason)

    def close_silent(self) -> None:
        """Close, because the client has not answered a ping."""
        self.close(FAILED, "no answer to a ping")

    def standing(self, now: float) -> Standing:
        """Return that it is a socket; before it is accepted, its connection says what it is doing."""
        return Standing(SOCKET if self.handshake is None else "")

    def begin_ending(self) -> None:
        """Close, because the worker stops."""
        if self.handshake is None:
            self.is_stopping = True
            self.close(_RESTART, "service restart")

    def abort(self) -> None:
        """Close at once, because the worker stops: whoever waits for this socket is told."""
        self.is_stopping = True
        self.inbound.calls.clear()
        self.inbound.leave()
        self._shut()
        if self._state != CLOSED:
            self.transport.abort()

    def on_close_frame(self) -> None:
        """The client's close frame has come: it is answered behind the replies to what came just before.

        Spec: RFC 6455 section 5.5.1: an endpoint may delay its close frame while it is sending.
        """
        self.watch.on_closing()  # and not for longer than the client may take for its own
        self.inbound.settle()

    def answer_close(self) -> None:
        """Answer the client's close frame."""
        if self._state == OPEN and self._codec.owes_close:
            self.write(self._codec.close(0, ""))
            self.on_client_ended()
            self.inbound.part()

    def on_client_ended(self) -> None:
        """The client has sent its close frame, or made a mistake: the connection is closed."""
        self._state = CLOSING
        self._shut()
        self.inbound.end()
        self.watch.on_closing()
        self._hang_up()
