"""What a socket does once a second: pings, and the deadlines of its client and of its consumer.

One tick of the server serves all sockets; no socket has a timer of its own. Loop thread only.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

from uvicorn.connections.intake import BACKLOG, Intake
from uvicorn.connections.rates import Standstill, Taking
from uvicorn.connections.service import Service
from uvicorn.connections.socket_inbound import SocketInbound

__all__ = ["HOW_TO_ACCEPT", "SocketWatch"]

#: for the log, about a consumer that has said nothing
HOW_TO_ACCEPT: Final = (
    "To accept it, send {'accept': True}, or a text, to message['reply_channel']; --channels1 accepts for consumers of "
    "Channels 1"
)


class Watched(Protocol):
    """What a watch looks at, and what it does, of its socket."""

    service: Service
    transport: asyncio.Transport
    handshake: Any  # its exchange, while the socket is not accepted
    inbound: SocketInbound
    intake: Intake
    written_bytes: int

    @property
    def consumer_name(self) -> str:
        """How logs call the consumer."""

    @property
    def shown_target(self) -> str:
        """The path, safe to log."""

    @property
    def is_answering(self) -> bool:
        """Whether the client's close frame waits for its answer."""

    def answer_close(self) -> None:
        """Answer the client's close frame now."""

    def ping(self) -> None:
        """Ask the client for a sign of life."""

    def close_slow(self, reason: str) -> None:
        """Close, because one side has not kept up with the other."""

    def close_silent(self) -> None:
        """Close, because the client has not answered a ping."""


class SocketWatch:
    """The times of one socket, and what follows from them.

    Attributes:
        is_heard: the client has sent something since the last tick. A flag: it is set for each read.
    """

    __slots__ = (
        "_closing_since", "_consuming", "_pinged_at", "_silent_since", "_socket", "_taking", "_waiting_since",
        "_was_late", "is_heard",
    )  # fmt: skip

    def __init__(self, socket: Watched) -> None:
        self._socket = socket
        self._silent_since = socket.service.now
        self.is_heard = False
        self._pinged_at = 0.0  # 0: no ping is under way
        self._was_late = False
        self._closing_since = 0.0
        self._taking = Taking()
        self._consuming: Standstill | None = None  # of the consumer, while reading is held for it
        self._waiting_since = 0.0  # for the consumer's answer to the handshake

    def on_closing(self) -> None:
        """The connection is to end soon."""
        self._closing_since = self._socket.service.loop.time()

    def tick(self, now: float) -> None:
        """Look at all deadlines."""
        socket = self._socket
        limits = socket.service.limits
        if socket.handshake is not None:
            self._check_handshake(now, limits.sockets.handshake_timeout)
        elif self._closing_since:
            if now - self._closing_since > limits.sockets.close_timeout:
                if socket.is_answering:
                    socket.answer_close()
                else:
                    socket.transport.abort()
        elif self._is_stalled(now, limits.write_timeout):
            socket.close_slow("the client did not take what was sent")
        elif self._is_backlogged(now, limits.sockets.backlog_timeout):
            socket.close_slow("the consumer did not take what was received")
        else:
            self._check_silence(now)

    def _check_handshake(self, now: float, timeout: float) -> None:
        socket = self._socket
        handshake = socket.handshake
        assert handshake is not None
        is_queued = handshake.job is not None and not handshake.job.started_at
        if not self._waiting_since or is_queued or handshake.is_accepted:
            self._waiting_since = now
        elif 0 < timeout < now - self._waiting_since and not handshake.is_closed:
            # Who has returned may have passed the channel on, to a group or to others that answer: but it was kept.
            advice = "" if socket.inbound.calls.is_running else f". It has returned: {HOW_TO_ACCEPT}"
            socket.service.log.warning(
                "%s did not answer websocket.connect in %g seconds (websocket_handshake_timeout): %s%s",
                socket.consumer_name,
                timeout,
                socket.shown_target,
                advice,
            )
            handshake.answer(504)

    def _check_silence(self, now: float) -> None:
        """Ping a client that is silent; close if it stays so.

        It must be late at two ticks: between them the loop looks at its sockets, so that a worker that was held up
        itself does not blame a client.
        """
        socket = self._socket
        limits = socket.service.limits.sockets
        if self.is_heard or socket.intake.reasons:  # while held we do not listen
            self.is_heard = self._was_late = False
            self._silent_since = now
            self._pinged_at = 0.0
        elif self._pinged_at:
            was_late, self._was_late = self._was_late, 0 < limits.ping_timeout < now - self._pinged_at
            if was_late and self._was_late:
                socket.close_silent()
        elif 0 < limits.ping_interval <= now - self._silent_since:
            self._pinged_at = now
            socket.ping()

    def _is_stalled(self, now: float, timeout: float) -> bool:
        """Whether the client has taken nothing of what waits for it, for `timeout` seconds."""
        socket = self._socket
        waiting = socket.transport.get_write_buffer_size()
        return self._taking.is_at_a_standstill(now, socket.written_bytes, waiting, timeout)

    def _is_backlogged(self, now: float, timeout: float) -> bool:
        """Whether reading is held, and the consumer has taken no message, for `timeout` seconds."""
        socket = self._socket
        if not socket.intake.reasons & BACKLOG:
            self._consuming = None
            return False
        taken = socket.inbound.calls.taken
        if self._consuming is None:
            self._consuming = Standstill(now, taken)
        return self._consuming.look(now, taken, timeout)
