"""The sockets at which `uvicorn.Server` listens."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterable
from typing import Any, Final

__all__ = ["Listening", "bind_all", "bind_fd", "bind_host", "bind_uds", "shown"]

_UDS_MODE: Final = 0o666  # as the other package: a proxy of another user may connect


class Listening:
    """The sockets of a server, as others look at those of `asyncio.Server`.

    Attributes:
        sockets: their order is that in which they were bound; empty when they are closed.
    """

    def __init__(self, sockets: Iterable[socket.socket]) -> None:
        self._sockets = tuple(sockets)

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The sockets that are open."""
        return tuple(sock for sock in self._sockets if sock.fileno() >= 0)

    def is_serving(self) -> bool:
        """Whether connections are accepted."""
        return bool(self.sockets)

    def close(self) -> None:
        """Listen no more; connections that are there go on."""
        for sock in self._sockets:
            sock.close()


def bind_host(host: str | None, port: int) -> list[socket.socket]:
    """Return a bound socket for each address that a host has; None or "" for all addresses of this machine.

    Raises: OSError that names the address.
    """
    # ASCII as bytes: for a text Python imports what knows international names, and all of Unicode.
    name = host.encode() if host and host.isascii() else host or None
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                sock = socket.socket(family, kind, protocol)
            except OSError as error:
                if error.errno == errno.EAFNOSUPPORT:
                    continue  # as asyncio: the resolver knows IPv6, this system does not
                raise
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                sock.bind(address)
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL and len(found) > 1:
                    sockets.remove(sock)
                    sock.close()
                    continue  # "localhost" may have an IPv6 address that this machine has not
                text = f"error while attempting to bind on address {address}: {(error.strerror or '').lower()}"
                raise OSError(error.errno, text + _by(error, port)) from None
        if not sockets:
            raise OSError(errno.EADDRNOTAVAIL, f"could not bind on any address of {host!r}")
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def bind_uds(path: str) -> socket.socket:
    """Return a bound Unix socket; one that was left by a server before is removed, and its mode is kept.

    Raises: OSError.
    """
    mode = _UDS_MODE
    try:
        before = os.stat(path)
        if stat.S_ISSOCK(before.st_mode):
            mode = stat.S_IMODE(before.st_mode)
            os.remove(path)
    except FileNotFoundError:
        pass
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        os.chmod(path, mode)
    except BaseException:
        sock.close()
        raise
    return sock


def bind_fd(fd: int) -> socket.socket:
    """Return a socket for a descriptor that is bound already; the descriptor itself stays open. Raises: OSError."""
    return socket.socket(fileno=os.dup(fd))


def bind_all(sockets: Iterable[Any] | None, config: Any) -> list[socket.socket]:
    """Return the listening sockets of a server: those that are given, or what a `Config` says.

    Args:
        sockets: bound ones, of `socket` or of Gunicorn; None for none.

    Raises: OSError.
    """
    if sockets is not None:
        # Gunicorn wraps its sockets, and keeps them for its master; what we close is our own copy.
        bound = [getattr(sock, "sock", sock) for sock in sockets]
        found = [sock.dup() if sock is not given else sock for sock, given in zip(bound, sockets, strict=True)]
    elif config.fd is not None:
        found = [bind_fd(config.fd)]
    elif config.uds:
        found = [bind_uds(str(config.uds))]
    else:
        found = bind_host(config.host, config.port)
    try:
        for sock in found:
            sock.listen(config.backlog)
            sock.setblocking(False)
    except BaseException:
        for sock in found:
            sock.close()
        raise
    return found


def shown(sock: socket.socket, scheme: str) -> str:
    """Return where a socket listens, as a URL or in words."""
    address = sock.getsockname()
    if not isinstance(address, tuple):
        return f"unix socket {os.fsdecode(address)}"
    host, port = address[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _by(error: OSError, port: int) -> str:
    """Return who has the address, where that can be known."""
    if error.errno != errno.EADDRINUSE:
        return ""
    from uvicorn.command.holders import holder_of

    holder = holder_of(port)
    return f" by {holder}" if holder else ""
