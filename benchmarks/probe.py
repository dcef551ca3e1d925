"""One connection that asks for the same page again and again, and times each answer. A program of its own.

    python probe.py PORT SECONDS PACE

PACE is the least number of seconds from one request to the next; 0 asks again at once. A pace gives every server the
same number of requests to answer beside its load, as long as it answers within the pace: a server that answers a
hundred times faster is not asked a hundred times more often, and does not lose its load's throughput to that.

wrk has no pace, and its percentiles cannot be pooled. Prints the milliseconds of each answer as a JSON list.
"""

from __future__ import annotations

import json
import socket
import sys
import time

_REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_PAGE = b"Hello, world!"
_PATIENCE_SECONDS = 30.0


def main(port: int, seconds: float, pace: float) -> list[float]:
    """Return the times of all answers, in milliseconds, in their order."""
    times = []
    with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ask(connection)  # the first one also waits for the connection to be accepted
        end = time.perf_counter() + seconds
        due = time.perf_counter()
        while due < end:
            time.sleep(max(due - time.perf_counter(), 0))
            began = time.perf_counter()
            ask(connection)
            now = time.perf_counter()
            times.append((now - began) * 1000)
            due = max(due + pace, now)
    return times


def ask(connection: socket.socket) -> None:
    """Ask once; an answer may come in pieces. Exits if it is not the page."""
    connection.sendall(_REQUEST)
    answer = connection.recv(65536)
    while answer and not answer.endswith((_PAGE, b"0\r\n\r\n")):
        piece = connection.recv(65536)
        if not piece:
            break
        answer += piece
    if not answer.startswith(b"HTTP/1.1 200 ") or _PAGE not in answer:
        sys.exit(f"wrong answer: {answer[:200]!r}")


if __name__ == "__main__":
    print(json.dumps([round(value, 4) for value in main(int(sys.argv[1]), *map(float, sys.argv[2:]))]))
