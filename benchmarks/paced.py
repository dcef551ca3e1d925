"""A load at a fixed rate: `python paced.py PORT CONNECTIONS RATE SECONDS HEADS`. Prints JSON.

Requests fall due at even intervals, and take the connections in turn. The time of one counts from when it was due, and
not from when it could be sent: a server that stands still for a moment delays all that fall due meanwhile, and they are
counted so (wrk, whose connections wait for their answers, does not see them). It spins while the next request is due
within a millisecond, so that the clock of the system does not round: it needs a core of its own.

    {"rate": answers per second, "requests": how many, "p50_ms", "p99_ms", "p999_ms"}
"""

from __future__ import annotations

import json
import select
import socket
import sys
from collections import deque
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.figures import percentile
from benchmarks.heads import Heads

_WARM_UP_SECONDS = 0.5
_SPIN_SECONDS = 0.001


class _Client:
    """One connection: a request is sent when the answer to the one before it has come."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.waiting: deque[tuple[float, bytes]] = deque()  # (due, request)
        self.due = 0.0  # of the request that is on its way; 0 for none
        self._received = b""

    def send_next(self) -> None:
        if not self.due and self.waiting:
            self.due, request = self.waiting.popleft()
            if self.socket.send(request) != len(request):
                raise SystemExit("a request could not be sent in one piece")

    def receive(self) -> float:
        """Read; return when the request was due whose answer is there now, or 0."""
        data = self.socket.recv(65536)
        if not data:
            raise SystemExit("the server has closed a connection")
        self._received += data
        head, end, content = self._received.partition(b"\r\n\r\n")
        if not end:
            return 0.0
        lowered = head.lower()
        if not lowered.startswith(b"http/1.1 2"):
            raise SystemExit(f"a wrong answer: {head[:200]!r}")
        length = int(lowered.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(content) < length:
            return 0.0
        self._received = b""
        due, self.due = self.due, 0.0
        return due


def main(port: int, connections: int, rate: float, seconds: float, heads: Heads) -> dict[str, float]:
    """Load, and return what was measured."""
    clients = [_Client(port) for _ in range(connections)]
    poll = select.epoll()
    by_number = {client.socket.fileno(): client for client in clients}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    count = int(rate * (seconds + _WARM_UP_SECONDS))
    first = int(rate * _WARM_UP_SECONDS)
    times: list[float] = []
    asked = answered = 0
    began = perf_counter()
    while answered < count:
        now = perf_counter()
        while asked < count and began + asked / rate <= now:
            client = clients[asked % connections]
            asked += 1
            client.waiting.append((began + (asked - 1) / rate, heads.request(asked)))
            client.send_next()
        left = began + asked / rate - now if asked < count else 1.0
        for number, _ in poll.poll(0 if left < _SPIN_SECONDS else left - _SPIN_SECONDS):
            client = by_number[number]
            due = client.receive()
            if due:
                answered += 1
                if due >= began + first / rate:
                    times.append((perf_counter() - due) * 1000)
                client.send_next()
    took = perf_counter() - began
    found = {f"p{name}_ms": percentile(times, percent) for name, percent in (("50", 50), ("99", 99), ("999", 99.9))}
    return {"rate": answered / took, "requests": answered, **found}


if __name__ == "__main__":
    _port, _connections, _rate, _seconds, _heads = sys.argv[1:]
    print(json.dumps(main(int(_port), int(_connections), float(_rate), float(_seconds), Heads(Path(_heads)))))
