"""A room, who sends to it, and a channel whose consumer writes down what it gets."""

import asyncio
import json
import os
import time
from functools import cache
from typing import Any
from urllib.parse import parse_qs

from uvicorn import Channel, Group, Message, route


async def connect(message: Message) -> None:
    channel: Any = message.reply_channel
    channel.send({"accept": True})
    await Group("room").add(channel)
    channel.send({"text": "ready"})


async def run(message: Message) -> None:
    """Send messages that all differ, so many a second whatever each takes; tell when."""
    asked = {key: value[0] for key, value in parse_qs(message["query_string"].decode()).items()}
    times, rate = [], float(asked["rate"])
    for number in range(int(asked["messages"])):
        text = f"{number:08d} {os.urandom(60).hex()}"
        times.append(time.monotonic())
        await Group("room").send({"text": text})
        due = times[0] + (number + 1) / rate if rate else 0.0
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    message["reply_channel"].send({"status": 200, "content": json.dumps(times).encode()})


async def fill(message: Message) -> None:
    for number in range(int(message["query_string"])):
        await Channel("jobs").send({"n": number})
    message["reply_channel"].send({"status": 200, "content": b"done"})


async def job(message: Message) -> None:
    os.write(_log(), b"%d\n" % message["n"])


@cache
def _log() -> int:
    return os.open(os.environ["JOBS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


routes = [
    route("websocket.connect", connect),
    route("websocket.receive", lambda message: None),
    route("http.request", run, path="^/run$"),
    route("http.request", fill, path="^/fill$"),
    route("jobs", job),
]
