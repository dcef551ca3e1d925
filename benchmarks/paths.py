"""The hot paths, to be counted: `python -m benchmarks.paths PATH COUNT` walks one of them so many times.

With several pairs of PATH and COUNT each is walked in a child of its own, one after the other, and a line tells which:
process id, count and path. What comes before, which is most of a short walk under valgrind, is then done once.

What is counted is the server of a real worker, made as the worker makes it, from `data_received` to
`transport.write`. No request is like another one, and reply headers are built for each reply, as real clients and
applications have it; the paths of "the same head" repeat one request. Around it there is no socket: a transport that
takes everything, and asks again in the next turn of the loop. So the figure has the task, the turn of the loop and the
pool's thread in it, and not the kernel. HEADS in the environment names another file of shapes (`heads.py`).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import uvloop

from benchmarks.heads import HEADS, Heads
from uvicorn import ASGIWorker
from uvicorn.command.cli import ConsumerApplication
from uvicorn.connections.connection import HTTPConnection

__all__ = ["PATHS", "walk_each"]

_PAGE = b"Hello, world!"
_CHUNK = b"x" * 65536
_PLAIN = [(b"content-type", b"text/plain")]
_GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n"
_GET_LAST = _GET[:-2] + b"Connection: close\r\n\r\n"
_POST = _GET.replace(b"GET", b"POST")
_HANDSHAKE = (
    _GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_TEXT_FRAME = b"\x81\xa0" + bytes(4) + b"x" * 32  # a mask of zeros is a mask
_MOST = 2000  # requests that differ; made before a walk, always so many: the difference of two walks has none of it


class _Transport(asyncio.Transport):
    """Take what is written; after each answer, which is one write, ask again in the next turn of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, requests: Sequence[bytes], count: int) -> None:
        super().__init__()
        self.protocol: Any = None
        self._asked = 0
        self._left = count
        self._loop = loop
        self._requests = requests

    def ask(self) -> None:
        request = self._requests[min(self._asked, len(self._requests) - 1)]
        self._asked += 1
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

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class _Uploading(_Transport):
    """Send a piece in each turn of the loop, whatever is written."""

    def ask(self) -> None:
        super().ask()
        self._left -= 1
        if self._left:
            self._loop.call_soon(self.ask)
        else:
            self._loop.stop()

    def write(self, data: Any) -> None:
        pass


class _Application(ConsumerApplication):
    """Our command, without a command line."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        super().__init__()

    def load_config(self) -> None:
        pass

    def wsgi(self) -> Any:
        return self._consumer


def _serve(
    consumer: Any,
    requests: Sequence[bytes],
    count: int,
    transport_class: type[_Transport] = _Transport,
    **settings: Any,
) -> None:
    """Let a worker's server answer so many requests; 0 for one, whose consumer or response ends it.

    Args:
        requests: what the client sends; the last one again and again.
    """
    app = _Application(consumer)
    app.cfg.set("loglevel", "warning")
    app.cfg.set("accesslog", None)  # as the servers that are compared
    for name, value in settings.items():
        app.cfg.set(name, value)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = ASGIWorker(1, os.getppid(), [], app, 30, app.cfg, app.cfg.logger_class(app.cfg))
    worker._loop = loop  # what `init_process` makes
    worker.load_wsgi()
    server = worker._serving.listen([])  # not public, but what a worker serves with
    server.tick()
    connection = HTTPConnection(server.service, ["127.0.0.1", 1], ["127.0.0.1", 2])
    transport = transport_class(loop, requests, count)
    transport.protocol = connection
    connection.connection_made(transport)
    loop.call_soon(transport.ask)
    loop.run_forever()


def _serve_differing(consumer: Any, count: int, body_bytes: int = 0) -> None:
    """Let it answer requests of which none is like another one."""
    if count > _MOST:
        raise SystemExit(f"{_MOST} requests at most: the others would be repeated")
    heads = Heads(Path(os.environ.get("HEADS", HEADS)), body_bytes)
    _serve(consumer, [heads.request(number) for number in range(1, _MOST + 1)], count)


def _serve_http2(consumer: Any, count: int, requests: Sequence[bytes] = (), **settings: Any) -> None:
    """Let it answer requests over HTTP/2; of those that differ, many come together."""
    from benchmarks import h2_requests

    if not requests:
        heads = Heads(Path(os.environ.get("HEADS", HEADS)))
        requests = h2_requests.requests(heads.request(number) for number in range(1, _MOST + 1))
        count //= h2_requests.GROUP
    settings.update(http_protocols="h2,h1", http2_cleartext="prior-knowledge", http2_engine="ngh2")
    _serve(consumer, requests, count, **settings)


def _download_http2(count: int) -> None:
    from benchmarks import h2_requests

    _serve_http2(partial(_stream_and_stop, count=count), 0, h2_requests.download(_GET))


def _upload_http2(count: int) -> None:
    from benchmarks import h2_requests

    pieces = h2_requests.upload(_POST)
    _serve_http2(_take, count, pieces, transport_class=_Uploading, http2_initial_window_size=1048576)


# ---- consumers and applications ----


async def _hello(message: Any) -> None:
    headers = [[b"content-type", b"text/plain"], [b"x-request-id", message["raw_path"]]]
    message["reply_channel"].send({"status": 200, "headers": headers, "content": _PAGE})


def _hello_sync(message: Any) -> None:
    headers = [[b"content-type", b"text/plain"], [b"x-request-id", message["raw_path"]]]
    message["reply_channel"].send({"status": 200, "headers": headers, "content": _PAGE})


async def _hello_asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise RuntimeError("only http")
    headers = [(b"content-type", b"text/plain"), (b"x-request-id", scope["raw_path"]), (b"content-length", b"13")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _PAGE})


def _hello_wsgi(environ: Any, start_response: Any) -> list[bytes]:
    headers = [("Content-Type", "text/plain"), ("X-Request-ID", environ["PATH_INFO"]), ("Content-Length", "13")]
    start_response("200 OK", headers)
    return [_PAGE]


async def _json(message: Any) -> None:
    content = b'{"id": "%b"}' % json.loads(message["body"])["id"].encode()
    headers = [[b"content-type", b"application/json"], [b"x-request-id", message["raw_path"]]]
    message["reply_channel"].send({"status": 201, "headers": headers, "content": content})


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


async def _stream_and_stop(message: Any, count: int) -> None:
    await _stream(message, count)
    asyncio.get_running_loop().stop()  # a connection of HTTP/2 goes on


async def _take(message: Any) -> None:
    async for _ in message["body_channel"]:
        pass


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
    "asynchronous hello": partial(_serve_differing, _hello),
    "synchronous hello": partial(_serve_differing, _hello_sync),
    "ASGI hello": partial(_serve_differing, _hello_asgi),
    "WSGI hello": partial(_serve_differing, _hello_wsgi),
    "JSON of 1 KiB": partial(_serve_differing, _json, body_bytes=1024),
    "asynchronous hello, the same head": partial(_serve, _hello, [_GET]),
    "synchronous hello, the same head": partial(_serve, _hello_sync, [_GET]),
    "chunk of 64 KiB": lambda count: _serve(partial(_stream, count=count), [_GET_LAST], 0),
    "chunk of 64 KiB from a thread": lambda count: _serve(partial(_stream_sync, count=count), [_GET_LAST], 0),
    "asynchronous echo": partial(_serve, _echo, [_HANDSHAKE, _TEXT_FRAME]),
    "synchronous echo": partial(_serve, _echo_sync, [_HANDSHAKE, _TEXT_FRAME]),
    "asynchronous hello, HTTP/2": partial(_serve_http2, _hello),
    "synchronous hello, HTTP/2": partial(_serve_http2, _hello_sync),
    "ASGI hello, HTTP/2": partial(_serve_http2, _hello_asgi),
    "chunk of 64 KiB, HTTP/2": _download_http2,
    "read of an upload, HTTP/2": _upload_http2,
}


def walk_each(walks: Sequence[tuple[str, int]]) -> None:
    """Walk each path so many times in a child, and print which child that was; end at the first one that fails."""
    for name, count in walks:
        child = os.fork()
        if not child:
            _walk(name, count)
        _, status = os.waitpid(child, 0)
        if status:
            raise SystemExit(f"{name}, {count} times, ended with {os.waitstatus_to_exitcode(status)}")
        print(child, count, name, flush=True)


def _walk(name: str, count: int) -> NoReturn:
    status = 1
    try:
        PATHS[name](count)
        sys.stdout.flush()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)  # a worker's threads are left to the system, as a worker does


def _main() -> None:
    walks = [(name, int(count)) for name, count in zip(sys.argv[1::2], sys.argv[2::2], strict=True)]
    if threading.active_count() != 1:
        raise SystemExit("a thread runs already: the count would not be exact")
    if len(walks) > 1:
        walk_each(walks)
    else:
        _walk(*walks[0])


if __name__ == "__main__":
    _main()
