"""What the server serves while it is attacked: it says what it understood, and keeps a list of what came.

A proxy adds the field `x-passed` to each request that it has understood as one. A request without it was hidden in
another one.
"""

from __future__ import annotations

import hashlib
import json

from uvicorn import route

_seen = []  # [target, has x-passed, the port of the connection]


def _told(message, body):
    """Return what an answer has: who asked for what, as it was understood here."""
    fields = sorted([name.decode("latin-1"), value.decode("latin-1")] for name, value in message["headers"])
    target = message["raw_path"] + (b"?" + message["query_string"] if message["query_string"] else b"")
    is_passed = any(name == "x-passed" for name, _ in fields)
    _seen.append([target.decode("latin-1"), is_passed, message["client"][1]])
    told = {
        "method": message["method"],
        "target": target.decode("latin-1"),
        "fields": fields,
        "size": len(body),
        "digest": hashlib.sha256(body).hexdigest(),
        "port": message["client"][1],
    }
    return {
        "status": 200,
        "headers": [(b"content-type", b"application/json")],
        "content": json.dumps(told).encode(),
    }


async def on_loop(message):
    body = message["body"]
    if message["body_channel"] is not None:
        body += await message["body_channel"].read(1 << 24)
    message["reply_channel"].send(_told(message, body))


def in_pool(message):
    body = message["body"]
    if message["body_channel"] is not None:
        body += message["body_channel"].read(1 << 24)
    message["reply_channel"].send(_told(message, body))


async def seen(message):
    """Answer with what came since the last time."""
    content = json.dumps(_seen).encode()
    _seen.clear()
    message["reply_channel"].send({"status": 200, "content": content})


routes = [
    route("http.request", seen, path=r"^/seen$"),
    route("http.request", in_pool, path=r"^/pool"),
    route("http.request", on_loop),
]
