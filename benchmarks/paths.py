"""The hot paths, to be counted: `python -m benchmarks.paths PATH COUNT` walks one of them so many times.

What is counted is the server of a real worker, made as the worker makes it, from `data_received` to
`transport.write`. Around it there is no socket: a transport that takes everything, and asks again in the
next turn of the loop. So the figure has the task, the turn of the loop and the pool's thread in it, and not the kernel.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import uvloop

from uvicorn import ASGIWorker
from uvicorn.command.cli import ConsumerApplication
from uvicorn.connections.connection import HTTPConnection

__all__ = ["PATHS"]

_PAGE = b"Hello, world!"
_CHUNK = b"x" * 65536
_PLAIN = [(b"content-type", b"text/plain")]
_GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n"
_GET_LAST = _GET[:-2] + b"Connection: close\r\n\r\n"
_FIELDS = (
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    b"Accept-Language: en-US,en;q=0.5",
    b"Accept-Encoding: gzip, deflate, br",
    b"Referer: http://127.0.0.1/list?page=2",
    b"Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; consent=1",
    b"Upgrade-Insecure-Requests: 1",
    b"Sec-Fetch-Dest: document",
    b"Sec-Fetch-Mode: navigate",
    b"Sec-Fetch-Site: same-origin",
    b"Sec-Fetch-User: ?1",
    b"Cache-Control: max-age=0",
    b'If-None-Match: "33a64df551425fcc55e4d42a148795d9f25f89d4"',
    b"DNT: 1",
    b"Priority: u=0, i",
)
_HANDSHAKE = (
    _GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)  # fmt: skip
_TEXT_FRAME = b"\x81\xa0" + bytes(4) + b"x" * 32  # a mask of zeros is a mask
_GET_16 = _GET[:-2] + b"".join(field + b"\r\n" for field in _FIELDS) + b"\r\n"


class _Transport(asyncio.Transport):
    """Take what is written; after each answer, which is one write, ask again in the next turn of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, first: bytes, request: bytes, count: int) -> None:
        super().__init__()
        self.protocol: Any = None
        self._first = first
        self._left = count
        self._loop = loop
        self._request = request

    def ask(self) -> None:
        request, self._first = self._first or self._request, b""
        self.protocol.data_received(request)

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def write(self, data: Any) -> None:
        if self._left:
            self._left -= 1
            if self._left:
                self._loop.call_soon(self.ask)
            else:
                self._loop.stop()

    def writelines(self, pieces: Any) -> None:
        self.write(b"")

    def close(self) -> None:
        self._loop.stop()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class _Application(ConsumerApplication):
    """Our command, without a command line."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        super().__init__()

    def load_config(self) -> None:
        pass

    def wsgi(self) -> Any:
        return self._consumer


def _serve(consumer: Any, request: bytes, count: int, first: bytes = b"") -> None:
    """Let a worker's server answer so many requests; 0 for one, whose consumer or response ends it.

    Args:
        first: what the client sends once, before them; it is one of them.
    """
    app = _Application(consumer)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = ASGIWorker(1, os.getpid(), [], app, 30, app.cfg, app.cfg.logger_class(app.cfg))
    worker._loop = loop  # what `init_process` makes
    worker.load_wsgi()
    server = worker._make_server(loop)  # not public, but what a worker serves with
    server.tick()
    connection = HTTPConnection(server.service, ["127.0.0.1", 1], ["127.0.0.1", 2])
    transport = _Transport(loop, first, request, count)
    transport.protocol = connection
    connection.connection_made(transport)
    loop.call_soon(transport.ask)
    loop.run_forever()


# ---- consumers ----


async def _hello(message: Any) -> None:
    message["reply_channel"].send({"status": 200, "headers": _PLAIN, "content": _PAGE})


def _hello_sync(message: Any) -> None:
    message["reply_channel"].send({"status": 200, "headers": _PLAIN, "content": _PAGE})


async def _stream(message: Any, count: int) -> None:
    send = message["reply_channel"].send
    await send({"status": 200, "headers": _PLAIN, "more_content": True})
    for _ in range(count):
        await send({"content": _CHUNK, "more_content": True})
    await send({})  # ends the connection: its client has asked for that


def _stream_sync(message: Any, count: int) -> None:
    send = message["reply_channel"].send
    send({"status": 200, "headers": _PLAIN, "more_content": True})
    for _ in range(count):
        send({"content": _CHUNK, "more_content": True})
    send({})


async def _echo(message: Any) -> None:
    if message["channel"] == "websocket.receive":
        await message["reply_channel"].send({"text": message["text"]})
    else:
        message["reply_channel"].send({"accept": True})


def _echo_sync(message: Any) -> None:
    if message["channel"] == "websocket.receive":
        message["reply_channel"].send({"text": message["text"]})
    else:
        message["reply_channel"].send({"accept": True})


PATHS: dict[str, Callable[[int], None]] = {
    "asynchronous hello": lambda count: _serve(_hello, _GET, count),
    "synchronous hello": lambda count: _serve(_hello_sync, _GET, count),
    "asynchronous hello, 16 headers": lambda count: _serve(_hello, _GET_16, count),
    "chunk of 64 KiB": lambda count: _serve(partial(_stream, count=count), _GET_LAST, 0),
    "chunk of 64 KiB from a thread": lambda count: _serve(partial(_stream_sync, count=count), _GET_LAST, 0),
    "asynchronous echo": lambda count: _serve(_echo, _TEXT_FRAME, count, _HANDSHAKE),
    "synchronous echo": lambda count: _serve(_echo_sync, _TEXT_FRAME, count, _HANDSHAKE),
}


def _main() -> None:
    name, count = sys.argv[1], int(sys.argv[2])
    if threading.active_count() != 1:
        raise SystemExit("a thread runs already: the count would not be exact")
    PATHS[name](count)
    sys.stdout.flush()
    os._exit(0)  # a worker's threads are left to the system, as a worker does


if __name__ == "__main__":
    _main()
