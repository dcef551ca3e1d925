"""Many clients that are slow in one way. A program of its own.

    python drip.py PORT KIND COUNT

KIND: heads and bodies send a byte each second; readers ask for a stream and take 1 KiB of it each second; idle ones
send nothing. One that the server closes is counted and comes again. Prints "measuring" when all are there (readers:
have got the begin of their stream), or as many as the server lets in in thirty seconds. Ends when standard input is
closed; then prints {"open": how many are there, "closed": how often the server closed one}.
"""

from __future__ import annotations

import contextlib
import errno
import json
import select
import socket
import sys
import time

FIRST = {
    "heads": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ",
    "bodies": b"POST /upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n",
    "readers": b"GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "idle": b"",
}
_TURNS = 50  # each second; a fiftieth of the clients has its turn in each
_PATIENCE_SECONDS = 30.0


class _Slow:
    """One client."""

    def __init__(self, port: int, kind: str) -> None:
        self._port = port
        self._kind = kind
        self.closed = 0
        self._begin()

    def _begin(self) -> None:
        self._has_asked = not FIRST[self._kind]
        self.is_open = False
        self._socket = socket.socket()
        if self._kind == "readers":
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # or the kernel would read ahead
        self._socket.setblocking(False)
        code = self._socket.connect_ex(("127.0.0.1", self._port))
        if code and code != errno.EINPROGRESS:
            raise OSError(code, "connect")

    def act(self) -> None:
        """Do what it does once a second."""
        try:
            if not self._has_asked:
                self._socket.send(FIRST[self._kind])
                self._has_asked = True
            elif self._kind in ("heads", "bodies"):
                self._socket.send(b"x")
            elif self._kind == "idle":
                self._socket.getpeername()  # raises if it is not connected
            self.is_open = self.is_open or self._kind != "readers"
            if self._socket.recv(1024) == b"":
                raise ConnectionError("closed")
            self.is_open = True
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                self.closed += 1
                self.end()
                with contextlib.suppress(OSError):
                    self._begin()

    def end(self) -> None:
        """Go."""
        self._socket.close()


def main(port: int, kind: str, count: int) -> dict[str, int]:
    """Come, stay, and count."""
    clients = [_Slow(port, kind) for _ in range(count)]
    began = time.monotonic()
    is_told = False
    turn = 0
    while True:
        for client in clients[turn % _TURNS :: _TURNS]:
            client.act()
        turn += 1
        wait = max(began + turn / _TURNS - time.monotonic(), 0)
        if select.select([sys.stdin] if is_told else [], [], [], wait)[0]:
            break
        late = time.monotonic() - began > _PATIENCE_SECONDS
        if not is_told and turn > 2 * _TURNS and (late or all(client.is_open for client in clients)):
            print("measuring", flush=True)
            is_told = True
    found = {"open": sum(client.is_open for client in clients), "closed": sum(client.closed for client in clients)}
    for client in clients:
        client.end()
    return found


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
