"""What the server serves while it is soaked, and what it looks like from inside."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import os
import threading
import time
from collections import Counter

from uvicorn import route, streams_body

_PIECE = b"0123456789abcdef" * 1024
_PIECES = 64


def _answer(message, content):
    message["reply_channel"].send({"status": 200, "content": content})


async def on_loop(message):
    _answer(message, message["raw_path"] + b" " + message["body"])


def in_pool(message):
    _answer(message, message["raw_path"] + b" " + message["body"])


def waiting(message):
    time.sleep(0.3)
    _answer(message, message["raw_path"] + b" ")


async def upload(message):
    digest = hashlib.sha256(message["body"])
    if message["body_channel"] is not None:
        async for chunk in message["body_channel"]:
            digest.update(chunk)
    _answer(message, digest.hexdigest().encode())


def _upload_in_pool(message):
    digest = hashlib.sha256(message["body"])
    for chunk in message["body_channel"] or ():
        digest.update(chunk)
    _answer(message, digest.hexdigest().encode())


@streams_body
def upload_in_pool(message):
    _upload_in_pool(message)


async def stream(message):
    send = message["reply_channel"].send
    await send({"status": 200, "more_content": True})
    for _ in range(_PIECES):
        await send({"content": _PIECE, "more_content": True})
    await send({})


def stream_in_pool(message):
    send = message["reply_channel"].send
    send({"status": 200, "more_content": True})
    for _ in range(_PIECES):
        send({"content": _PIECE, "more_content": True})
    send({})


async def connect(message):
    message["reply_channel"].send({"accept": True})


async def echo(message):
    message["reply_channel"].send({"text": message["text"], "bytes": message["bytes"]})


def connect_in_pool(message):
    message["reply_channel"].send({"accept": True})


def echo_in_pool(message):
    message["reply_channel"].send({"text": message["text"], "bytes": message["bytes"]})


async def inside(message):
    """Answer with what is alive in this worker."""
    for _ in range(5):  # until the task is over that accepted this connection
        await asyncio.sleep(0)
    gc.collect()
    kinds = Counter(type(found).__name__ for found in gc.get_objects() if type(found).__module__.startswith("uvicorn."))
    del kinds["RequestLine"], kinds["Fields"]  # some hundreds of them are remembered on purpose
    del kinds["_Block"], kinds["Spent"]  # the watchdog's thread makes new ones and drops the old ones meanwhile
    counted = {
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "objects": sum(kinds.values()),
    }
    _answer(message, json.dumps({**counted, "kinds": kinds}).encode())


routes = [
    route("http.request", inside, path=r"^/inside$"),
    route("http.request", in_pool, path=r"^/pool"),
    route("http.request", waiting, path=r"^/wait$"),
    route("http.request", upload, path=r"^/upload$"),
    route("http.request", upload_in_pool, path=r"^/upload-pool$"),
    route("http.request", _upload_in_pool, path=r"^/upload-collected$"),
    route("http.request", stream, path=r"^/stream$"),
    route("http.request", stream_in_pool, path=r"^/stream-pool$"),
    route("http.request", on_loop),
    route("websocket.connect", connect, path=r"^/socket$"),
    route("websocket.receive", echo, path=r"^/socket$"),
    route("websocket.connect", connect_in_pool, path=r"^/socket-pool$"),
    route("websocket.receive", echo_in_pool, path=r"^/socket-pool$"),
]
