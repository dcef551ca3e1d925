"""Compare the libraries that could do the frames of a WebSocket, without any input or output, side by side in one run.

    pip install websockets wsproto aiohttp picows
    python benchmarks/libraries.py [--rounds 9]

Each takes a masked text message from a client and gives the frame that echoes it: of 32 bytes, and of 1 MiB. picows and
aiohttp's reader are not made for this: picows is given a transport that counts, aiohttp's reader a queue, and the
frame to send is put together by hand.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import socket
import statistics
import struct
import sys
import time
import tracemalloc

from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.http import WebSocketReader
from picows import WSAutoPingStrategy
from picows.picows import WSListener, WSMsgType, WSProtocol
from websockets.protocol import State
from websockets.server import ServerProtocol
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

LIMIT = 1 << 24
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def with_websockets():
    protocol = ServerProtocol(state=State.OPEN, max_size=LIMIT)

    def echo(data):
        protocol.receive_data(data)
        for frame in protocol.events_received():
            protocol.send_text(str(frame.data, "utf-8").encode())
        return b"".join(protocol.data_to_send())

    return echo


def with_wsproto():
    connection = Connection(ConnectionType.SERVER)
    parts = []

    def echo(data):
        connection.receive_data(data)
        answers = []
        for event in connection.events():
            parts.append(event.data)
            if event.message_finished:
                answers.append(connection.send(TextMessage("".join(parts))))
                parts.clear()
        return b"".join(answers)

    return echo


class _NoProtocol:
    _reading_paused = False

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


def with_aiohttp():
    queue = WebSocketDataQueue(_NoProtocol(), 1 << 30, loop=asyncio.get_running_loop())
    reader = WebSocketReader(queue, LIMIT, compress=False, decode_text=True)

    def echo(data):
        reader.feed_data(data)
        answers = []
        while queue._buffer:
            item = queue._buffer.popleft()
            message = item if hasattr(item, "data") else item[0]
            payload = message.data.encode()
            size = len(payload)
            head = struct.pack("!BB", 0x81, size) if size < 126 else struct.pack("!BBQ", 0x81, 127, size)
            answers.append(head + payload)
        return b"".join(answers)

    return echo


class _Echo(WSListener):
    def on_ws_frame(self, transport, frame):
        transport.send(WSMsgType.TEXT, frame.get_payload_as_utf8_text().encode())


class _Counting(asyncio.Transport):
    """Keep what is written; a pair of sockets stands in for the connection that picows asks for."""

    def __init__(self):
        super().__init__()
        self.pair = socket.socketpair()
        self.written = []

    def get_extra_info(self, name, default=None):
        return self if name == "socket" else default

    family = socket.AF_INET

    def setsockopt(self, *_):
        pass

    def getsockopt(self, *_):
        return 0

    def fileno(self):
        return self.pair[0].fileno()

    def write(self, data):
        self.written.append(bytes(data))

    def get_write_buffer_size(self):
        return 1  # or it would write to the socket itself

    def is_closing(self):
        return False


def with_picows():
    transport = _Counting()
    protocol = WSProtocol(
        None,
        None,
        False,
        lambda request: _Echo(),
        logging.getLogger("picows"),
        True,
        None,
        False,
        10,
        10,
        WSAutoPingStrategy.PING_WHEN_IDLE,
        True,
        LIMIT,
        None,
        2048,
    )
    protocol.connection_made(transport)

    def feed(data):
        at = 0
        while at < len(data):
            buffer = protocol.get_buffer(-1)
            size = min(len(buffer), len(data) - at)
            buffer[:size] = data[at : at + size]
            protocol.buffer_updated(size)
            at += size

    def echo(data):
        transport.written.clear()
        feed(data)
        return b"".join(transport.written)

    feed(HANDSHAKE)
    return echo


LIBRARIES = {"websockets": with_websockets, "wsproto": with_wsproto, "aiohttp": with_aiohttp, "picows": with_picows}


def masked(payload):
    """Return the text message of a client."""
    size = len(payload)
    head = struct.pack("!BB", 0x81, 0x80 | size) if size < 126 else struct.pack("!BBQ", 0x81, 0xFF, size)
    key = (b"\x37\xfa\x21\x3d" * (size // 4 + 1))[:size]
    return head + key[:4] + (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


def time_of(make, payload, count):
    """Return the microseconds of one echo, which must be right."""
    echo, message = make(), masked(payload)
    assert echo(message).endswith(payload)
    start = time.perf_counter()
    for _ in range(count):
        echo(message)
    return (time.perf_counter() - start) / count * 1e6


def memory_of(make, count=100):
    """Return the KiB that an idle one takes, as far as Python counts them."""
    gc.collect()
    tracemalloc.start()
    kept = [make() for _ in range(count)]
    gc.collect()
    size = tracemalloc.get_traced_memory()[0] / count / 1024
    tracemalloc.stop()
    kept.clear()
    return size


async def main():
    """Measure, and print medians and ratios."""
    parser = argparse.ArgumentParser(description="Compare the libraries for the frames of a WebSocket.")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    logging.disable()
    print(f"Python {sys.version.split()[0]}, {options.rounds} rounds")
    for name, payload, count in (("32 bytes", b"x" * 32, 5000), ("1 MiB", b"x" * (1 << 20), 10)):
        times = {library: [] for library in LIBRARIES}
        for _ in range(options.rounds):
            for library, make in LIBRARIES.items():
                times[library].append(time_of(make, payload, count))
        for library, found in times.items():
            ratios = [a / b for a, b in zip(found, times["websockets"], strict=True)]
            middle = statistics.median(found)
            print(f"{name:9} {library:11} {middle:8.1f} us, {statistics.median(ratios):5.2f} of websockets")
    for library, make in LIBRARIES.items():
        with contextlib.suppress(OSError):
            print(f"idle      {library:11} {memory_of(make):8.1f} KiB")


if __name__ == "__main__":
    asyncio.run(main())
