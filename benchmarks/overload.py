"""An open loop: so many requests each second, whether or not the earlier ones are answered. A program of its own.

    python overload.py PORT PATH RATE SECONDS PATIENCE NORMAL

A closed loop, as wrk's, waits for a slow server and so never overloads it: visitors of a site do not. A request takes
a connection that is idle, or a new one. One that is not answered in PATIENCE seconds is given up, and its connection is
closed, as a visitor's would be; who still waits at the end of the load stays. Then one client asks on, one request at a
time, until three answers in a row came in NORMAL seconds.

Prints {"served": answers with 200, "refused": other answers, "failed": given up or broken off, "times": milliseconds of
those served, counted from when they were due, "seconds": of the load, "recovery_seconds": from its end to the first of
the three requests that were answered normally}.
"""

from __future__ import annotations

import contextlib
import errno
import json
import selectors
import socket
import sys
import time
from collections import deque

_PAGE = b"Hello, world!"
_LONGEST_RECOVERY_SECONDS = 30.0  # more is told as this many


class _Open:
    """The load, and its clients."""

    def __init__(self, port: int, path: str, patience: float) -> None:
        self._port = port
        self._request = b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % path.encode()
        self._patience = patience
        self._selector = selectors.DefaultSelector()
        self._idle: list[socket.socket] = []
        self._waiting: deque[_Asked] = deque()  # in the order in which they were asked
        self.served = self.refused = self.failed = 0
        self.times: list[float] = []

    def run(self, rate: float, seconds: float) -> None:
        """Ask at this rate for so long. Who still waits then stays, and is not counted."""
        began = time.perf_counter()
        asked = 0
        while (now := time.perf_counter()) < began + seconds:
            while began + asked / rate <= now:
                self._ask(began + asked / rate)
                asked += 1
            for key, _ in self._selector.select(0.001):
                self._read(key.data)
            while self._waiting and (self._waiting[0].is_done or self._waiting[0].due + self._patience < now):
                one = self._waiting.popleft()
                if not one.is_done:
                    self._end(one, is_kept=False)
                    self.failed += 1

    def _ask(self, due: float) -> None:
        is_new = not self._idle
        try:
            connection = self._idle.pop() if not is_new else self._connect()
            connection.send(self._request)
        except BlockingIOError:  # not connected yet: the backlog is full
            pass
        except OSError:
            self.failed += 1
            return
        one = _Asked(connection, due)
        self._waiting.append(one)
        if is_new:
            self._selector.register(connection, selectors.EVENT_READ, one)
        else:
            self._selector.modify(connection, selectors.EVENT_READ, one)

    def _connect(self) -> socket.socket:
        connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = connection.connect_ex(("127.0.0.1", self._port))
        if code and code != errno.EINPROGRESS:
            connection.close()
            raise OSError(code, "connect")
        return connection

    def _read(self, one: _Asked) -> None:
        try:
            piece = one.connection.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        one.received += piece
        if not piece or one.is_done:  # closed: while it was idle, or before the answer came
            self._end(one, is_kept=False)
            if not one.is_done:
                self.failed += 1
            elif one.connection in self._idle:
                self._idle.remove(one.connection)
            one.is_done = True
        elif is_whole(one.received):
            one.is_done = True
            if one.received.startswith(b"HTTP/1.1 200 "):
                self.served += 1
                self.times.append((time.perf_counter() - one.due) * 1000)
            else:
                self.refused += 1
            self._end(one, is_kept=b"connection: close" not in one.received.lower())

    def _end(self, one: _Asked, is_kept: bool) -> None:
        if is_kept:
            self._idle.append(one.connection)
        else:
            self._selector.unregister(one.connection)
            one.connection.close()


class _Asked:
    """One request that is not answered yet."""

    __slots__ = ("connection", "due", "is_done", "received")

    def __init__(self, connection: socket.socket, due: float) -> None:
        self.connection = connection
        self.due = due
        self.received = b""
        self.is_done = False


def is_whole(answer: bytes) -> bool:
    """Whether an answer is complete."""
    head, end, content = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    _, found, length = head.lower().partition(b"content-length: ")
    if found:
        return len(content) >= int(length.partition(b"\r")[0])
    return content.endswith(b"0\r\n\r\n")


def recovery(port: int, path: str, normal: float) -> float:
    """Return how many seconds pass until three answers in a row are as fast as they should be."""
    request = b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" % path.encode()
    began = time.perf_counter()
    first = 0.0
    in_row = 0
    while (asked := time.perf_counter()) - began < _LONGEST_RECOVERY_SECONDS and in_row < 3:
        answer = b""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as connection:
            connection.settimeout(_LONGEST_RECOVERY_SECONDS)
            connection.sendall(request)
            while piece := connection.recv(65536):
                answer += piece
        if answer.startswith(b"HTTP/1.1 200 ") and time.perf_counter() - asked < normal:
            first = first if in_row else asked - began
            in_row += 1
        else:
            in_row = 0
            time.sleep(0.01)
    return first if in_row == 3 else _LONGEST_RECOVERY_SECONDS


def main(port: int, path: str, rate: float, seconds: float, patience: float, normal: float) -> dict[str, object]:
    """Load, and look how long it takes afterwards."""
    load = _Open(port, path, patience)
    load.run(rate, seconds)
    return {
        "served": load.served,
        "refused": load.refused,
        "failed": load.failed,
        "times": [round(value, 2) for value in load.times],
        "seconds": seconds,
        "recovery_seconds": recovery(port, path, normal),
    }


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), sys.argv[2], *map(float, sys.argv[3:]))))
