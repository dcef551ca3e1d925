"""The room of `ours.py`, for python-socketio with its Redis manager."""

import asyncio
import json
import os
import time
from typing import Any
from urllib.parse import parse_qs

import socketio

server = socketio.AsyncServer(
    async_mode="asgi", client_manager=socketio.AsyncRedisManager(os.environ["REDIS"]), ping_interval=1000
)


@server.event  # type: ignore[untyped-decorator]  # python-socketio has no types
async def connect(sid: str, environ: Any) -> None:
    await server.enter_room(sid, "room")
    await server.emit("ready", to=sid)


async def http(scope: Any, receive: Any, send: Any) -> None:
    asked = {key: value[0] for key, value in parse_qs(scope["query_string"].decode()).items()}
    times, rate = [], float(asked["rate"])
    for number in range(int(asked["messages"])):
        text = f"{number:08d} {os.urandom(60).hex()}"
        times.append(time.monotonic())
        await server.emit("line", text, room="room")
        due = times[0] + (number + 1) / rate if rate else 0.0
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(times).encode()})


application = socketio.ASGIApp(server, other_asgi_app=http)
