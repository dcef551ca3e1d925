"""A socket that a WSGI application speaks WebSocket over by itself: bytes are carried, and not looked at.

    begin_raw_socket (socket_begin.py)   a pair of sockets; the application is called in a thread, as for a page, and
                                         finds one end in its environ
    it writes                            101, by itself: the connection is its own from now on
    or it answers as for a page          that is sent, and the connection closed

Until it writes, the handshake is an exchange of its connection like any other. What the client sends meanwhile waits in
the intake. Each direction has bounded buffers: the intake stops reading from a client whose bytes the application does
not read, and the application's end is not read while the client is behind.

The end: the application returns, or closes its end; the client leaves, and the application reads the end. A thread that
goes on then is told of as stuck, after `stuck_after`, and keeps its place among `wsgi_sockets` until it returns.
While the client is there, waiting for it is the application's work, and not stuck. Loop thread only.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket as sockets
from typing import Final

from uvicorn.bridge.jobs import CallJob
from uvicorn.bridge.raw_socket import ThreadEnd
from uvicorn.connections.crowding import SOCKET, Standing
from uvicorn.connections.exchange import Exchange
from uvicorn.connections.intake import BACKLOG
from uvicorn.connections.rates import Taking
from uvicorn.connections.raw_handshake import RawHandshake
from uvicorn.connections.upgrade import Upgradable, Upgraded
from uvicorn.wire.reply import NO_FIELDS

__all__ = ["RawSocket"]

_PIECE: Final = 65536  # bytes that are carried at once; arbitrary
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 20), ("TCP_KEEPCNT", 3))  # seconds, seconds, times


class RawSocket(Upgraded, asyncio.Protocol):
    """One such socket.

    Raises: OSError if no descriptors are left for it.

    Attributes:
        end: the application's end, until nothing is carried any more: its thread, or else the message, closes it.
        handshake: the exchange of the request, for as long as this is there.
        attended: what goes with the request, or None.
        job: the call of the application; its exchange lets go of it before it has returned.
        is_lost: the client has left, or the worker stops: the application may be told by its own writing.
        watch: itself, once a second.
    """

    def __init__(self, connection: Upgradable, exchange: Exchange) -> None:
        self.service = connection.service
        self.transport = connection.transport
        self.client_name = connection.client_name
        self.place = connection.place
        self.intake = connection.intake
        self._connection: Upgradable | None = connection  # until the application has written
        self._loop = self.service.loop
        ours, theirs = sockets.socketpair()
        ours.setblocking(False)
        self._ours = ours
        try:
            self.end: ThreadEnd | None = ThreadEnd(theirs, ours)
        except OSError:
            ours.close()
            theirs.close()
            raise
        self.handshake = RawHandshake(exchange, self)
        self.attended = self.handshake.attended
        self.job: CallJob | None = None
        self.is_lost = False
        self.watch = self
        self._is_open = False  # the application has written
        self._is_closed = False  # nothing is carried any more
        self._is_behind = False  # the client
        self._written_bytes = 0
        self._is_half_closed = False  # by the client
        self._closing_since = 0.0
        self._taking = Taking()
        self._loop.add_reader(ours.fileno(), self._on_written)

    def __repr__(self) -> str:
        return f"<RawSocket {self.handshake.shown_line} {'closed' if self._is_closed else 'open'}>"

    @property
    def state_name(self) -> str:
        """What it is, in a word."""
        return "raw"

    @property
    def call(self) -> tuple[Exchange, CallJob] | None:
        """What a thread does for it, since its connection has let go of the request: the exchange of that, and the job.

        Runs on: any thread.
        """
        job = self.job
        return None if job is None or job.is_over or self._connection is not None else (self.handshake, job)

    @property
    def is_over(self) -> bool:
        """Whether it needs no thread any more."""
        job = self.job
        return self._is_closed and (job is None or job.is_over or not job.started_at)

    # ---- called by the loop ----

    def data_received(self, data: bytes) -> None:
        """Take in what the client sent."""
        self.service.numbers.received_bytes += len(data)
        self.intake.receive(data)

    def eof_received(self) -> bool:
        """The client sends nothing more: the application reads the end, and may say a last word."""
        if not self._is_open or self._is_closed or not self.transport.can_write_eof():
            return False
        self._is_half_closed = True
        self.on_taken()
        return True

    def pause_writing(self) -> None:
        """The client is behind."""
        self._is_behind = True
        if self._connection is not None:
            self._connection.pause_writing()
        elif not self._is_closed:
            self._loop.remove_reader(self._ours.fileno())

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._is_behind = False
        if self._connection is not None:
            self._connection.resume_writing()
        elif not self._is_closed:
            self._loop.add_reader(self._ours.fileno(), self._on_written)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: the application reads the end."""
        service = self.service
        connection, self._connection = self._connection, None
        self.is_lost = self.is_lost or not self._is_closed
        self._close()
        self.intake.drop()
        service.sockets.discard(self)
        if connection is not None:
            connection.connection_lost(exc)
        elif self.place is not None:
            service.on_connection_lost(self.place)
        if self._is_open and service.attendants is not None:
            service.attendants.end_socket(self)

    # ---- between client and application ----

    def take(self, data: bytes, at: int) -> int:
        """Give the application what the client has sent; return where the next bytes begin."""
        if self._is_closed:
            return len(data)
        if not self._is_open or self._connection is not None:
            return at
        try:
            return at + self._ours.send(memoryview(data)[at : at + _PIECE])
        except BlockingIOError:
            self.intake.hold(BACKLOG)
            self._loop.add_writer(self._ours.fileno(), self._on_room)
            return at
        except OSError:  # the application reads no more
            return len(data)

    def on_taken(self) -> None:
        """The intake is empty, or waits: what came before the client's end is given to the application before that."""
        if self._is_half_closed and not self.intake.waiting_bytes:
            self._part()

    def _on_room(self) -> None:
        self._loop.remove_writer(self._ours.fileno())
        self.intake.release(BACKLOG)
        self.intake.go_on()

    def look(self) -> None:
        """See whether the application has written, now."""
        if not self._is_open and not self._is_closed:
            self._on_written()

    def _on_written(self) -> None:
        """The application has written, or closed its end."""
        if not self._is_open:
            self._take_first()
            return
        try:
            data = self._ours.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._write(data)
        else:
            self._close()
            self._closing_since = self._loop.time()
            self.transport.close()

    def _take_first(self) -> None:
        """The application has written for the first time, or closed its end: then it may answer as for a page."""
        try:
            is_written = bool(self._ours.recv(1, sockets.MSG_PEEK))
        except BlockingIOError:
            return
        except OSError:
            is_written = False
        self._loop.remove_reader(self._ours.fileno())
        handshake = self.handshake
        if is_written and self.end is not None and not handshake.is_closed and not handshake.status:
            self.end.is_read = True
            self._is_open = True
            handshake.accept(NO_FIELDS)  # comes back as `on_opened`, or `on_refused`

    def on_opened(self) -> None:
        """It is this exchange's turn: the application has the connection."""
        connection, self._connection = self._connection, None
        assert connection is not None
        self.service.connections.discard(connection)
        for name, value in (("SO_KEEPALIVE", 1), *_KEEPALIVE):  # a client that vanished would hold a thread for ever
            with contextlib.suppress(OSError, AttributeError):
                level = sockets.SOL_SOCKET if name == "SO_KEEPALIVE" else sockets.IPPROTO_TCP
                self.transport.get_extra_info("socket").setsockopt(level, getattr(sockets, name), value)
        self._is_behind = not connection.pipeline.gate.is_open
        if not self._is_behind:
            self._loop.add_reader(self._ours.fileno(), self._on_written)
        self.intake.go_on()
        if self.service.is_stopping:
            self._part()

    def on_refused(self) -> None:
        """A response was sent in its place, or nobody is there to get one."""
        self._is_open = False
        self._close()

    def _write(self, data: bytes) -> None:
        self._written_bytes += len(data)
        self.service.numbers.sent_bytes += len(data)
        self.transport.write(data)

    def _part(self) -> None:
        """Have the application read the end: it may say a last word."""
        if not self._closing_since:
            self._closing_since = self._loop.time()
            with contextlib.suppress(OSError):
                self._ours.shutdown(sockets.SHUT_WR)

    def _close(self) -> None:
        """Carry nothing any more."""
        if self._is_closed:
            return
        self._is_closed = True
        self._loop.remove_reader(self._ours.fileno())
        self._loop.remove_writer(self._ours.fileno())
        self.intake.release(BACKLOG)
        with contextlib.suppress(OSError):
            self._ours.shutdown(sockets.SHUT_RDWR)  # closing is not enough: the thread has a descriptor, too
        self._ours.close()
        self.end = None

    # ---- what the server asks of each client ----

    def tick(self, now: float) -> None:
        """Look at the deadlines. A call whose client is there gives a sign of life by that."""
        if not self._is_open:
            return
        limits, waiting = self.service.limits, self.transport.get_write_buffer_size()
        if not self._is_closed and not self._closing_since:
            self.handshake.active_at = now
        if self._is_closed and waiting:
            self._closing_since = now  # the client may take what was written before, at its pace
        if self._closing_since and now - self._closing_since > limits.sockets.close_timeout:
            self.transport.abort()
        elif self._taking.is_at_a_standstill(now, self._written_bytes, waiting, limits.write_timeout):
            self.service.log_of(self.handshake).info("The client takes nothing: %s", self.handshake.shown_line)
            self.transport.abort()

    def standing(self, now: float) -> Standing:
        """Return that it is a socket; before, its connection says what it is doing."""
        return Standing(SOCKET if self._connection is None else "")

    def begin_ending(self) -> None:
        """Have the application read the end, because the worker stops."""
        if self._connection is None and not self._is_closed:
            self._part()

    def abort(self) -> None:
        """Close at once, because the worker stops."""
        self.handshake.is_stopping = self.is_lost = True
        self._close()
        self.transport.abort()
