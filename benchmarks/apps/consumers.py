"""The consumers of this package."""

from __future__ import annotations

import asyncio
import json

from work import CHUNK, CHUNKS, LOADS, PAGE, TURNS, reply, view, view_async, wait

from uvicorn import route, streams_body

_BINARY = [(b"content-type", b"application/octet-stream")]


def _answer(message, content):
    message["reply_channel"].send({"status": 200, "headers": [(b"content-type", b"text/plain")], "content": content})


def _answer_json(message):
    content = json.dumps({"id": json.loads(message["body"])["id"]}).encode()
    message["reply_channel"].send(
        {"status": 200, "headers": [(b"content-type", b"application/json")], "content": content}
    )


def _answer_differing(message):
    status, headers, content = reply(message["path"])
    fields = [(name.encode(), value.encode()) for name, value in headers]
    message["reply_channel"].send({"status": status, "headers": fields, "content": content})


# ---- on the loop ----


async def hello(message):
    message["reply_channel"].send({"status": 200, "headers": [(b"content-type", b"text/plain")], "content": PAGE})


async def json_post(message):
    _answer_json(message)


async def replies(message):
    _answer_differing(message)


async def echo(message):
    body = message["body"]
    if message["body_channel"] is not None:
        body += await message["body_channel"].read(1 << 20)
    _answer(message, body)


async def wait_10(message):
    await asyncio.sleep(0.010)
    _answer(message, PAGE)


async def typical(message):
    await view_async()
    _answer(message, PAGE)


async def stream(message):
    send = message["reply_channel"].send
    await send({"status": 200, "headers": _BINARY, "more_content": True})
    for _ in range(CHUNKS):
        await send({"content": CHUNK, "more_content": True})
    await send({})


async def upload(message):
    size = len(message["body"])
    if message["body_channel"] is not None:
        async for chunk in message["body_channel"]:
            size += len(chunk)
    _answer(message, b"%d" % size)


async def turns(message):
    _answer(message, b"%.3f" % TURNS.taken())


async def connect(message):
    message["reply_channel"].send({"accept": True})


async def receive(message):
    message["reply_channel"].send({"text": message["text"], "bytes": message["bytes"]})


# ---- in threads ----


def hello_sync(message):
    message["reply_channel"].send({"status": 200, "headers": [(b"content-type", b"text/plain")], "content": PAGE})


def json_post_sync(message):
    _answer_json(message)


def replies_sync(message):
    _answer_differing(message)


def echo_sync(message):
    body = message["body"]
    if message["body_channel"] is not None:
        body += message["body_channel"].read(1 << 20)
    _answer(message, body)


def wait_10_sync(message):
    wait(0.010)
    _answer(message, PAGE)


def wait_100_sync(message):
    wait(0.100)
    _answer(message, PAGE)


def typical_sync(message):
    view()
    _answer(message, PAGE)


def stream_sync(message):
    send = message["reply_channel"].send
    send({"status": 200, "headers": _BINARY, "more_content": True})
    for _ in range(CHUNKS):
        send({"content": CHUNK, "more_content": True})
    send({})


def upload_collected(message):
    size = len(message["body"])
    for chunk in message["body_channel"] or ():
        size += len(chunk)
    _answer(message, b"%d" % size)


@streams_body
def upload_sync(message):
    upload_collected(message)


# ---- both in one application ----


def _loaded(work):
    def consumer(message):
        work()
        _answer(message, PAGE)

    return consumer


def _mixed(**computing):
    """Return routes: a hello on the loop, and each load in the pool; `computing` is for those that compute."""
    return [
        route("http.request", hello, path=r"^/$"),
        *(
            route("http.request", _loaded(work), path=rf"^{path}$", **(computing if "compute" in path else {}))
            for path, work in LOADS.items()
        ),
    ]


def _several(hello, upload, stream):
    """Return routes: all that slow and flooding clients ask for."""
    return [
        route("http.request", hello, path=r"^/$"),
        route("http.request", upload, path=r"^/upload$"),
        route("http.request", stream, path=r"^/stream$"),
        route("http.request", turns, path=r"^/turns$"),
        route("websocket.connect", connect, path=r"^/socket$"),
        route("websocket.receive", receive, path=r"^/socket$"),
    ]


def __getattr__(name):
    if name == "several":
        return _several(hello, upload, stream)
    if name == "several_sync":
        return _several(hello_sync, upload_collected, stream_sync)
    if name == "mixed":
        return _mixed()
    if name == "mixed_two_pools":
        return _mixed(pool="reports", threads=4)
    raise AttributeError(name)
