"""Members of a room: plain sockets that count what they get, so that they cost less than what they measure."""

from __future__ import annotations

import asyncio
import base64
import os
import time
from collections.abc import Callable

PATIENCE = 120.0
TEXT, PING, PONG = 1, 9, 10


class Member(asyncio.Protocol):
    """One socket: it counts the messages that it gets, and keeps nothing of them."""

    target = "/"

    def __init__(self, crowd: Crowd, compresses: bool) -> None:
        self.crowd, self.compresses = crowd, compresses
        self.transport: asyncio.Transport
        self.buffer, self.is_open, self.count = bytearray(), False, -1  # the first one says that it is a member

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # it is a socket's
        offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if self.compresses else ""
        key = base64.b64encode(os.urandom(16)).decode()
        head = "HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        self.transport.write(f"GET {self.target} {head}Sec-WebSocket-Key: {key}\r\n{offer}\r\n".encode())

    def connection_lost(self, error: Exception | None) -> None:
        self.crowd.closed += 1

    def data_received(self, data: bytes) -> None:
        buffer = self.buffer
        buffer += data
        if not self.is_open:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            del buffer[: end + 4]
            self.is_open = True
        at = 0
        while len(buffer) - at >= 2:
            size, start = buffer[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(buffer[at + 2 : at + 4], "big"), at + 4
            if len(buffer) < start + size:
                break
            kind = buffer[at] & 15
            if kind == TEXT:
                self.on_text(buffer, start)
            elif kind == PING:  # who does not answer is closed, by Daphne after 50 seconds
                self.send(PONG, bytes(buffer[start : start + size]))
            at = start + size
        del buffer[:at]

    def on_text(self, buffer: bytearray, start: int) -> None:
        self.crowd.on_message(self.count)
        self.count += 1

    def send(self, kind: int, content: bytes) -> None:
        self.transport.write(bytes([0x80 | kind, 0x80 | len(content), 0, 0, 0, 0]) + content)


class SocketIoMember(Member):
    """One socket of Socket.IO: it answers the handshake and pings, and counts the events that it gets.

    A text begins with a digit of Engine.IO: 0 open, 2 ping, 4 message; then one of Socket.IO: 0 connected, 2 event.
    Compressed ones are told apart by their order: the handshake has two, and the server of `theirs_socketio` no pings.
    """

    target = "/socket.io/?EIO=4&transport=websocket"
    texts = 0

    def on_text(self, buffer: bytearray, start: int) -> None:
        self.texts += 1
        kind = bytes(buffer[start : start + 2])
        if self.compresses:
            kind = (b"0", b"40", b"42")[min(self.texts, 3) - 1]
        if kind[:1] == b"0":
            self.send(TEXT, b"40")
        elif kind[:1] == b"2":
            self.send(TEXT, b"3")
        elif kind == b"42":
            super().on_text(buffer, start)


class Crowd:
    """All members, and when the last of them got each message."""

    def __init__(self, count: int, member: type[Member] = Member) -> None:
        self.count, self.member = count, member
        self.joined, self.total, self.closed = 0, 0, 0
        self.arrived: dict[int, int] = {}
        self.last: dict[int, float] = {}

    def on_message(self, number: int) -> None:
        if number < 0:
            self.joined += 1
            return
        self.total += 1
        self.arrived[number] = self.arrived.get(number, 0) + 1
        if self.arrived[number] == self.count:
            self.last[number] = time.monotonic()

    def has_kept(self, times: list[float], rate: float) -> bool:
        """Whether this rate was kept: half of the messages were with the last member before the next one was due.

        Who is slower falls behind further with each message; who was held up once does not.
        """
        if len(self.last) < len(times) or not rate:
            return False
        late = sorted(self.last[n] - times[0] - n / rate for n in range(len(times)))
        return late[len(late) // 2] < 1 / rate

    async def join(self, ports: list[int], compresses: bool) -> None:
        loop = asyncio.get_running_loop()
        for number in range(self.count):
            port = ports[number % len(ports)]
            await loop.create_connection(lambda: self.member(self, compresses), "127.0.0.1", port)
            if number % 50 == 49:
                await until(lambda: self.joined >= number - 49)  # noqa: B023
        await until(lambda: self.joined == self.count)


async def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        await asyncio.sleep(0.01)
