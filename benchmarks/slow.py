"""Many connections that do little: idle ones, and slow readers. Blocking sockets, one thread."""

from __future__ import annotations

import socket
import time
from types import TracebackType

__all__ = ["Connections"]

_REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_PATIENCE_SECONDS = 20.0
_RECEIVE_BUFFER = 65536  # bytes; small, or the kernel would read ahead for a slow reader


class Connections:
    """So many connections to one server; closed at the end of the `with`."""

    def __init__(self, port: int, count: int) -> None:
        self._sockets = [self._connect(port) for _ in range(count)]

    def __enter__(self) -> Connections:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for sock in self._sockets:
            sock.close()

    def ask(self) -> None:
        """Ask for a small page on each, one after the other, and read the answers."""
        for sock in self._sockets:
            sock.sendall(_REQUEST)
            answer = sock.recv(65536)
            while not answer.endswith((b"Hello, world!", b"0\r\n\r\n")):
                piece = sock.recv(65536)
                if not piece:
                    raise ConnectionError(f"broken off after {answer[:200]!r}")
                answer += piece
            if not answer.startswith(b"HTTP/1.1 200 "):
                raise ConnectionError(f"wrong answer: {answer[:200]!r}")

    def ask_only(self) -> None:
        """Ask on each, and do not read."""
        for sock in self._sockets:
            sock.sendall(_REQUEST)

    def read(self, size: int, seconds: float) -> None:
        """Ask, and read at most so many bytes of each answer."""
        self.ask_only()
        end = time.monotonic() + seconds
        while size > 0 and time.monotonic() < end:
            size -= 65536
            self.read_once(65536)

    def read_once(self, size: int) -> None:
        """Read once from each, what is there, at most so many bytes."""
        for sock in self._sockets:
            sock.settimeout(0)
            try:
                if not sock.recv(size):
                    raise ConnectionError("a stream was broken off")
            except BlockingIOError:
                pass

    def count_open(self) -> int:
        """Return how many the server has not closed; nothing must be waiting to be read."""
        count = 0
        for sock in self._sockets:
            sock.settimeout(0)
            try:
                sock.recv(1)
            except BlockingIOError:
                count += 1
            except ConnectionError:
                pass
        return count

    def _connect(self, port: int) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        sock.settimeout(_PATIENCE_SECONDS)
        sock.connect(("127.0.0.1", port))
        return sock
