"""The room of `ours.py`, for Channels 4."""

import asyncio
import json
import os
import time
from typing import Any
from urllib.parse import parse_qs

import django
from django.conf import settings

LAYER = {"BACKEND": os.environ["BACKEND"], "CONFIG": {"hosts": [os.environ["REDIS"]]}}
settings.configure(CHANNEL_LAYERS={"default": LAYER}, SECRET_KEY="of a benchmark")
django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.layers import get_channel_layer  # noqa: E402
from channels.routing import ProtocolTypeRouter  # noqa: E402


class Room(AsyncWebsocketConsumer):  # type: ignore[misc]  # Channels has no types
    async def connect(self) -> None:
        await self.channel_layer.group_add("room", self.channel_name)
        await self.accept()
        await self.send("ready")

    async def room_message(self, event: Any) -> None:
        await self.send(event["text"])


async def http(scope: Any, receive: Any, send: Any) -> None:
    asked = {key: value[0] for key, value in parse_qs(scope["query_string"].decode()).items()}
    times, layer, rate = [], get_channel_layer(), float(asked["rate"])
    for number in range(int(asked["messages"])):
        text = f"{number:08d} {os.urandom(60).hex()}"
        times.append(time.monotonic())
        await layer.group_send("room", {"type": "room.message", "text": text})
        due = times[0] + (number + 1) / rate if rate else 0.0
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(times).encode()})


application = ProtocolTypeRouter({"http": http, "websocket": Room.as_asgi()})
