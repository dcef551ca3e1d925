"""Someone who asks for a page again and again, each time on a new connection or always on one, and times each answer.

    python asked.py PORT SECONDS PACE PATIENCE PATH new|kept

Unlike probe.py it does not give up when an answer does not come: beside attackers that is what is measured. An answer
that has not come in PATIENCE seconds counts as that long, and the next one is asked for on a new connection. PACE is
the least number of seconds from one request to the next.

Prints {"times": [milliseconds, ...], "unanswered": how many of them got no answer, or another one than the page}.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import time

_PAGE = b"Hello, world!"


def main(port: int, seconds: float, pace: float, patience: float, path: str, is_kept: bool) -> dict[str, object]:
    """Ask for so long."""
    close = b"" if is_kept else b"Connection: close\r\n"
    request = b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\n%b\r\n" % (path.encode(), close)
    times: list[float] = []
    unanswered = 0
    connection: socket.socket | None = None
    end = due = time.perf_counter()
    end += seconds
    while due < end:
        time.sleep(max(due - time.perf_counter(), 0))
        began = time.perf_counter()
        try:
            if connection is None:
                connection = socket.create_connection(("127.0.0.1", port), timeout=patience)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _ask(connection, request, began + patience)
            times.append((time.perf_counter() - began) * 1000)
        except OSError:
            unanswered += 1
            times.append(patience * 1000)
            is_done = True
        else:
            is_done = not is_kept
        if connection is not None and is_done:
            with contextlib.closing(connection):
                connection = None
        due = max(due + pace, time.perf_counter())
    return {"times": [round(value, 3) for value in times], "unanswered": unanswered}


def _ask(connection: socket.socket, request: bytes, end: float) -> None:
    """Raise OSError if the page does not come until then."""
    connection.sendall(request)
    answer = b""
    while not answer.endswith((_PAGE, b"0\r\n\r\n")):
        connection.settimeout(max(end - time.perf_counter(), 0.001))
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError("broken off")
        answer += piece
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise ConnectionError("refused")


if __name__ == "__main__":
    found = main(int(sys.argv[1]), *map(float, sys.argv[2:5]), sys.argv[5], sys.argv[6] == "kept")
    print(json.dumps(found))
