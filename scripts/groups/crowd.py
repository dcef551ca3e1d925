"""Members of a room: plain sockets that count what they get, so that they cost less than what they measure."""

from __future__ import annotations

import asyncio
import base64
import os
import time
from collections.abc import Callable

PATIENCE = 120.0


class Member(asyncio.Protocol):
    """One socket: it counts the messages that it gets, and keeps nothing of them."""

    def __init__(self, crowd: Crowd, compresses: bool) -> None:
        self.crowd, self.compresses = crowd, compresses
        self.buffer, self.is_open, self.count = bytearray(), False, -1  # the first one says that it is a member

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if self.compresses else ""
        key = base64.b64encode(os.urandom(16)).decode()
        head = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        transport.write(f"{head}Sec-WebSocket-Key: {key}\r\n{offer}\r\n".encode())  # type: ignore[attr-defined]

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
            if buffer[at] & 15 == 1:
                self.crowd.on_message(self.count)
                self.count += 1
            at = start + size
        del buffer[:at]


class Crowd:
    """All members, and when the last of them got each message."""

    def __init__(self, count: int) -> None:
        self.count, self.joined, self.total = count, 0, 0
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

    async def join(self, ports: list[int], compresses: bool) -> None:
        loop = asyncio.get_running_loop()
        for number in range(self.count):
            port = ports[number % len(ports)]
            await loop.create_connection(lambda: Member(self, compresses), "127.0.0.1", port)
            if number % 50 == 49:
                await until(lambda: self.joined >= number - 49)  # noqa: B023
        await until(lambda: self.joined == self.count)


async def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        await asyncio.sleep(0.01)
