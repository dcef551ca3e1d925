"""Accept connections, as many as the worker may have open.

Theory of operation
-------------------
Sibling workers share the listening sockets. A worker that has `worker_connections` open stops watching them when the
next one comes, so that it goes to a sibling or waits in the backlog, and watches them again when one closes. `on_knock`
may have one closed (`crowd.py`). asyncio's servers cannot stop and go on, hence an accept loop of our own. Loop thread
only.

A connection that a sibling should take (`Turns`) is left to it: the sockets are not watched for some milliseconds, or
epoll would tell at once again that it waits. If it still waits after `_LONGEST_SECONDS` it is accepted, whoever should.
Stopping takes what waits, too.
"""

from __future__ import annotations

import asyncio
import errno
import select
import socket
import ssl
import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from uvicorn.bridge.outbox import Log
from uvicorn.connections.addresses import AddressLimit

__all__ = ["Acceptor", "Turns"]

_LONGEST_SECONDS: Final = 0.05  # for which a connection is left to siblings, in all; arbitrary
_TLS_SHUTDOWN_SECONDS: Final = 1.0  # for the client's close_notify; arbitrary: few clients send one in time
_OUT_OF_RESOURCES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Turns(Protocol):
    """Who of several workers takes the next connection.

    Attributes:
        most: how many to accept at once.
    """

    most: int

    def tell(self, connections: int, is_accepting: bool) -> None:
        """So many connections are open; whether another one would be accepted."""

    def leave_for(self, waited: float) -> float:
        """Return for how many seconds to leave to siblings what waits; 0.0 to accept it.

        Args:
            waited: for how many seconds it was left to them already.
        """


class _Alone:
    """A worker without siblings."""

    most = 8  # arbitrary: few, so that those who are connected get their share of a burst

    def tell(self, connections: int, is_accepting: bool) -> None:
        """Nobody wants to know."""

    def leave_for(self, waited: float) -> float:
        """Nobody else takes it."""
        return 0.0


class _Handshake(NamedTuple):
    """A connection that was accepted, and is not known to be there yet.

    Attributes:
        unmade: the protocol's transport before it has one.
    """

    since: float
    protocol: asyncio.Protocol
    unmade: Any

    @property
    def has_succeeded(self) -> bool:
        """Whether the protocol has its connection, whose end it will tell: nobody else may."""
        return getattr(self.protocol, "transport", None) is not self.unmade


class Acceptor:
    """What accepts connections, and hands them over.

    Args:
        sockets: listening, non-blocking.
        make_protocol: called with the client's and our address, [str, int] or None, and the client's place in
            `addresses`; returns the protocol.
        limit: the most connections open at a time.
        addresses: how many connections each client may have.
        handshake_timeout: seconds that a TLS handshake may take.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sockets: list[socket.socket],
        make_protocol: Callable[[list[Any] | None, list[Any] | None, str], asyncio.Protocol],
        limit: int,
        addresses: AddressLimit,
        log: Log,
        ssl_context: ssl.SSLContext | None = None,
        handshake_timeout: float = 10.0,
    ) -> None:
        self.open = 0  # accepted and not closed yet, handshakes included
        self._loop = loop
        self._sockets = [(sock, address_of(sock.getsockname())) for sock in sockets]
        self._poll = select.poll()
        for sock in sockets:
            self._poll.register(sock.fileno(), select.POLLIN)
        self._make_protocol = make_protocol
        self._limit = limit
        self._addresses = addresses
        self.on_knock: Callable[[], None] = lambda: None  # a connection waits, and all are open
        self._log = log
        self._ssl = ssl_context
        self._tls_timeouts = {"ssl_handshake_timeout": handshake_timeout, "ssl_shutdown_timeout": _TLS_SHUTDOWN_SECONDS}
        if sys.version_info < (3, 11) and isinstance(loop, asyncio.BaseEventLoop):
            del self._tls_timeouts["ssl_shutdown_timeout"]  # not known to asyncio's own loop yet
        self.turns: Turns = _Alone()
        self._is_watching = False
        self._leaving: asyncio.TimerHandle | None = None  # while what waits is left to siblings
        self._left_at = 0.0  # since when; 0.0 if nothing is
        self._is_closed = False
        self._handshakes: dict[asyncio.Task[None], _Handshake] = {}  # oldest first

    @property
    def is_full(self) -> bool:
        """Whether all connections are open."""
        return self.open >= self._limit

    def is_waited_for(self) -> bool:
        """Whether a connection waits to be accepted, by this worker or by a sibling."""
        if self._is_closed:
            return False
        return bool(self._poll.poll(0))

    def resume(self, even_if_full: bool = False) -> None:
        """Accept, if there is room; otherwise, if this is asked for, call `on_knock` when a connection waits."""
        if self._is_closed:
            return
        if not self._is_watching and self._leaving is None and (even_if_full or not self.is_full):
            self._is_watching = True
            for sock, address in self._sockets:
                self._loop.add_reader(sock.fileno(), self._accept, sock, address)
        self._tell()

    def pause(self) -> None:
        """Accept nothing for now."""
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        self._left_at = 0.0
        self._unwatch()
        self._tell()

    def _tell(self) -> None:
        if self._leaving is None:
            self.turns.tell(self.open, self._is_watching and not self.is_full)

    def _leave_to_siblings(self, seconds: float) -> None:
        self._unwatch()
        self._leaving = self._loop.call_later(seconds, self._come_back)

    def _come_back(self) -> None:
        self._leaving = None
        waiting = {number for number, _ in self._poll.poll(0)}
        if not waiting:
            self._left_at = 0.0  # a sibling has taken it
        self.resume(even_if_full=True)
        if not waiting or self._is_left():
            return
        for sock, address in self._sockets:
            if sock.fileno() in waiting:
                self._take(sock, address)

    def _unwatch(self) -> None:
        if self._is_watching:
            self._is_watching = False
            for sock, _ in self._sockets:
                self._loop.remove_reader(sock.fileno())

    def close(self) -> None:
        """Take what clients have been told is connected, and then accept nothing more."""
        was_watching = self._is_watching or self._leaving is not None
        self.pause()
        if was_watching:
            for sock, address in self._sockets:
                while self.open < self._limit and self._accept_one(sock, address):
                    pass
        for sock, _ in self._sockets:
            sock.close()  # our copy: or clients would be connected to a backlog that nobody serves
        self._is_closed = True

    def leave(self) -> None:
        """Accept nothing more, and leave those that wait to whoever has these sockets, too."""
        self.pause()
        for sock, _ in self._sockets:
            sock.close()
        self._is_closed = True

    def abort(self) -> None:
        """Break off the TLS handshakes that have not come to an end."""
        for task, handshake in tuple(self._handshakes.items()):
            if self._ssl is not None and not handshake.has_succeeded:
                task.cancel()

    def break_off_handshake(self, before: float) -> bool:
        """Break off the oldest TLS handshake, if it began before this time; return whether it did."""
        for task, handshake in self._handshakes.items():
            if handshake.since >= before:
                break
            if self._ssl is not None and not handshake.has_succeeded:
                del self._handshakes[task]  # its place is free when it has ended
                task.cancel()
                return True
        return False

    def on_connection_lost(self, place: str) -> None:
        """A connection is closed: its place is free."""
        self.open -= 1
        self._addresses.leave(place)
        self.resume()

    def _accept(self, sock: socket.socket, address: list[Any] | None) -> None:
        """A connection waits there: accept it and some behind it, or leave it to siblings."""
        if not self._is_left():
            self._take(sock, address)

    def _is_left(self) -> bool:
        """Whether what waits is left to siblings for now; all sockets are looked at again then."""
        if self.is_full:
            return False
        waited = self._loop.time() - self._left_at if self._left_at else 0.0
        seconds = self.turns.leave_for(waited) if waited < _LONGEST_SECONDS else 0.0
        if not seconds:
            self._left_at = 0.0
            return False
        self._left_at = self._left_at or self._loop.time()
        self._leave_to_siblings(seconds)
        return True

    def _take(self, sock: socket.socket, address: list[Any] | None) -> None:
        for number in range(self.turns.most):
            if self.is_full:
                if not number:  # or it is not known whether another one waits
                    self.pause()
                    self.on_knock()
                return
            if not self._accept_one(sock, address):
                return

    def _accept_one(self, sock: socket.socket, address: list[Any] | None) -> bool:
        """Accept one connection; return False if none is waiting."""
        try:
            accepted, peer = sock.accept()
        except (BlockingIOError, InterruptedError):
            return False
        except ConnectionAbortedError:
            return True  # that client has left already; there may be others
        except OSError as error:
            if error.errno in _OUT_OF_RESOURCES:
                self.pause()  # the next tick tries again
                self._log.error("Cannot accept: %s; %d connections are open", error, self.open)
            else:
                self._log.error("Cannot accept: %s", error)
            return False
        place = self._addresses.enter(peer[0] if isinstance(peer, tuple) else None)
        if place is None:
            accepted.close()
            return True
        accepted.setblocking(False)
        if accepted.family != socket.AF_UNIX:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.open += 1
        self._tell()
        client = address_of(peer)
        protocol = self._make_protocol(client, address, place)
        task = self._loop.create_task(self._connect(accepted, protocol, client, place))
        self._handshakes[task] = _Handshake(self._loop.time(), protocol, getattr(protocol, "transport", None))
        task.add_done_callback(lambda task: self._handshakes.pop(task, None))
        return True

    async def _connect(
        self, accepted: socket.socket, protocol: asyncio.Protocol, client: list[Any] | None, place: str
    ) -> None:
        timeout = {} if self._ssl is None else self._tls_timeouts
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, accepted, ssl=self._ssl, **timeout)
        except (OSError, asyncio.CancelledError) as error:  # ssl.SSLError is an OSError
            self._log.info("No connection with %s: %s", client[0] if client else "unix socket", error)
            accepted.close()
            self.on_connection_lost(place)


def address_of(address: Any) -> list[Any] | None:
    """Return [host, port] of a socket address, or None for a unix socket."""
    return [address[0], address[1]] if isinstance(address, tuple) else None
