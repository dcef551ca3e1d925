"""Clients that each ask for a page again and again, counted in a steady state. A program of its own.

    python crowd.py PORT PATH CLIENTS WARM_UP_SECONDS

wrk counts from its first request to its last. A server that runs 40 requests of 20 ms at once has then worked for up
to a second on answers that come too late to be counted, and one that runs four at once has not. Here the answers are
counted in a window with full load before it and after it. Such loads are a few thousand requests per second at most,
which Python can ask for.

Prints "measuring" when the window begins. It ends when standard input is closed; then prints what came in it:
{"answers": ..., "seconds": ...}.
"""

from __future__ import annotations

import json
import math
import selectors
import socket
import sys
import time

_PAGE = b"Hello, world!"


def main(port: int, path: str, clients: int, warm_up_seconds: float) -> dict[str, float]:
    """Ask, and count."""
    request = b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % path.encode()
    selector = selectors.DefaultSelector()
    for _ in range(clients):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ, bytearray())
        connection.sendall(request)
    _answers(selector, request, time.perf_counter() + warm_up_seconds)
    print("measuring", flush=True)
    began = time.perf_counter()
    selector.register(sys.stdin, selectors.EVENT_READ)
    answers = _answers(selector, request, math.inf)
    return {"answers": answers, "seconds": time.perf_counter() - began}


def _answers(selector: selectors.BaseSelector, request: bytes, end: float) -> int:
    """Ask until then, or until standard input is closed; return how many answers came. Exits if one is wrong."""
    count = 0
    while (left := end - time.perf_counter()) > 0:
        for key, _ in selector.select(min(left, 60)):
            connection, received = key.fileobj, key.data
            if not isinstance(connection, socket.socket):
                return count
            piece = connection.recv(65536)
            received += piece
            if piece and not received.endswith((_PAGE, b"0\r\n\r\n")):
                continue
            if not received.startswith(b"HTTP/1.1 200 ") or _PAGE not in received:
                sys.exit(f"wrong answer: {bytes(received[:200])!r}")
            received.clear()
            count += 1
            connection.sendall(request)
    return count


if __name__ == "__main__":
    found = main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    print(json.dumps(found))
