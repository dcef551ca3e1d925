"""The same pages as ASGI 3 applications, without a framework."""

from __future__ import annotations

import asyncio
import json

from work import CHUNK, CHUNKS, PAGE, TURNS, reply, view_async


def _start(size, kind=b"text/plain"):
    headers = [(b"content-type", kind), (b"content-length", b"%d" % size)]
    return {"type": "http.response.start", "status": 200, "headers": headers}


async def _answer(send, content):
    await send(_start(len(content)))
    await send({"type": "http.response.body", "body": content})


async def _lifespan(receive, send):
    while True:
        event = (await receive())["type"]
        await send({"type": f"{event}.complete"})
        if event == "lifespan.shutdown":
            return


def _application(page):
    async def application(scope, receive, send):
        if scope["type"] == "http":
            await page(receive, send)
        else:
            await _lifespan(receive, send)

    return application


async def hello(scope, receive, send):
    if scope["type"] != "http":
        await _lifespan(receive, send)
        return
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"13")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": PAGE})


async def replies(scope, receive, send):
    if scope["type"] != "http":
        await _lifespan(receive, send)
        return
    status, headers, content = reply(scope["path"])
    fields = [(name.lower().encode(), value.encode()) for name, value in headers]
    fields.append((b"content-length", b"%d" % len(content)))
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": content})


async def _chunks(receive):
    more = True
    while more:
        event = await receive()
        yield event.get("body", b"")
        more = event.get("more_body", False)


async def _echo(receive, send):
    await _answer(send, b"".join([chunk async for chunk in _chunks(receive)]))


async def _json_post(receive, send):
    body = b"".join([chunk async for chunk in _chunks(receive)])
    content = json.dumps({"id": json.loads(body)["id"]}).encode()
    await send(_start(len(content), b"application/json"))
    await send({"type": "http.response.body", "body": content})


async def _wait_10(receive, send):
    await asyncio.sleep(0.010)
    await _answer(send, PAGE)


async def _typical(receive, send):
    await view_async()
    await _answer(send, PAGE)


async def _stream(receive, send):
    headers = [(b"content-type", b"application/octet-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(CHUNKS):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _upload(receive, send):
    size = 0
    async for chunk in _chunks(receive):
        size += len(chunk)
    await _answer(send, b"%d" % size)


echo, wait_10, typical = _application(_echo), _application(_wait_10), _application(_typical)
stream, upload, json_post = _application(_stream), _application(_upload), _application(_json_post)


# ---- all that slow and flooding clients ask for ----


async def _hello(receive, send):
    await _answer(send, PAGE)


async def _turns(receive, send):
    await _answer(send, b"%.3f" % TURNS.taken())


async def _echo_messages(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event.get("text"), "bytes": event.get("bytes")})


_SEVERAL = {"/": _hello, "/upload": _upload, "/stream": _stream, "/turns": _turns}


async def several(scope, receive, send):
    if scope["type"] == "http":
        await _SEVERAL[scope["path"]](receive, send)
    elif scope["type"] == "websocket":
        await _echo_messages(receive, send)
    else:
        await _lifespan(receive, send)
