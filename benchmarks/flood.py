"""Clients that send as much as the server takes, in pieces that are as small as can be. A program of its own.

    python flood.py PORT KIND CLIENTS

KINDS below says what they send, without end. One that the server closes comes again. Prints "measuring" a second after
the first byte. Ends when standard input is closed; then prints {"bytes": what was sent, "closed": how often the server
closed one}.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import sys
import time
from dataclasses import dataclass

_SOCKET = (
    b"GET /socket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_UPLOAD = b"POST /upload HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
_PAGE = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_AT_ONCE = 1 << 16  # bytes, about


@dataclass(frozen=True)
class _Kind:
    """What is sent first, what then again and again, and whether the answers are read."""

    first: bytes
    again: bytes
    is_read: bool = True
    awaits: bytes = b""  # comes before the rest is sent
    is_short: bool = False  # once is all: close, and come again
    piece: int = 1 << 20  # bytes that are sent at once, at most


KINDS = {
    "messages": _Kind(_SOCKET, b"\x81\x81\0\0\0\0x", awaits=b"\r\n\r\n"),
    "messages, not read": _Kind(_SOCKET, b"\x81\x81\0\0\0\0x", is_read=False, awaits=b"\r\n\r\n"),
    "fragments": _Kind(_SOCKET + b"\x01\x80\0\0\0\0", b"\x00\x80\0\0\0\0", awaits=b"\r\n\r\n"),
    "pings": _Kind(_SOCKET, b"\x89\x80\0\0\0\0", awaits=b"\r\n\r\n"),
    "pings, not read": _Kind(_SOCKET, b"\x89\x80\0\0\0\0", is_read=False, awaits=b"\r\n\r\n"),
    "chunks": _Kind(_UPLOAD, b"1\r\nx\r\n"),
    "extensions": _Kind(_UPLOAD, b"1;%b\r\nx\r\n" % (b"a=b;" * 1000)),
    "fields": _Kind(b"", b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % (b"a:b\r\n" * 95)),
    "requests": _Kind(b"", _PAGE),
    "requests, not read": _Kind(b"", _PAGE, is_read=False),
    # Only where the server expects it; byte by byte.
    "proxy": _Kind(b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 80\r\n" + _PAGE, b"", is_short=True, piece=1),
}


class _Flooder:
    """One client."""

    def __init__(self, port: int, kind: _Kind, selector: selectors.BaseSelector) -> None:
        self._port = port
        self._kind = kind
        self._selector = selector
        self._again = memoryview(kind.again * (_AT_ONCE // len(kind.again)) if kind.again else b"")
        self.sent = self.closed = 0
        self.begin()

    def begin(self) -> None:
        """Connect."""
        self.connection = socket.create_connection(("127.0.0.1", self._port), 30)
        if self._kind.piece == 1:
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._left = memoryview(self._kind.first) if self._kind.first else self._again
        if self._kind.awaits:
            self.connection.sendall(self._kind.first)
            head = b""
            while self._kind.awaits not in head:
                piece = self.connection.recv(1024)
                if not piece:
                    raise ConnectionError(f"no begin: {head!r}")
                head += piece
            self._left = self._again
        self.connection.setblocking(False)
        events = selectors.EVENT_WRITE | (selectors.EVENT_READ if self._kind.is_read else 0)
        self._selector.register(self.connection, events, self)

    def act(self, events: int) -> None:
        """Send what can be sent, and take what came."""
        try:
            if events & selectors.EVENT_READ and self.connection.recv(1 << 18) == b"":
                raise ConnectionError("closed")
            if events & selectors.EVENT_WRITE:
                size = self.connection.send(self._left[: self._kind.piece])
                self.sent += size
                self._left = self._left[size:]
                if not self._left:
                    if self._kind.is_short:
                        raise ConnectionError("come again")
                    self._left = self._again
        except BlockingIOError:
            pass
        except OSError:
            self.closed += 1
            self._selector.unregister(self.connection)
            self.connection.close()
            with contextlib.suppress(OSError):
                self.begin()


def main(port: int, name: str, clients: int) -> dict[str, int]:
    """Flood until standard input is closed."""
    selector = selectors.DefaultSelector()
    flooders = [_Flooder(port, KINDS[name], selector) for _ in range(clients)]
    end = time.monotonic() + 1
    is_told = False
    while True:
        for key, events in selector.select(0.05):
            if key.data is None:
                return {"bytes": sum(one.sent for one in flooders), "closed": sum(one.closed for one in flooders)}
            key.data.act(events)
        if not is_told and time.monotonic() > end:
            is_told = True
            print("measuring", flush=True)
            selector.register(sys.stdin, selectors.EVENT_READ)


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
