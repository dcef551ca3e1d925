"""The worker's part in groups and channels: it makes the hub, and starts and stops it."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.bridge.dispatcher import Dispatcher
from uvicorn.bridge.sides import Sides
from uvicorn.command.settings import Settings
from uvicorn.layers.current import install
from uvicorn.layers.hub import Hub
from uvicorn.layers.local import LocalLayer
from uvicorn.layers.office import WorkerOffice

__all__ = ["WorkerLayer"]


class WorkerLayer:
    """The groups and channels of one worker. Made on: the loop's thread, after the fork."""

    def __init__(self, loop: asyncio.AbstractEventLoop, dispatcher: Dispatcher, settings: Settings, log: Any) -> None:
        self.hub: Final = Hub(
            loop,
            LocalLayer(settings.channel_layer),
            dispatcher.outbox.directory,
            log,
            settings.group_bounds,
            settings.group_expiry,
        )
        install(WorkerOffice(self.hub, Sides(dispatcher.crossing, self.hub)))

    async def start(self) -> None:
        """Begin to carry messages."""
        await self.hub.start()

    def tick(self) -> None:
        """Do once a second what depends on time."""
        self.hub.tick()

    async def stop(self) -> None:
        """Leave the layer; from now on sending is an error."""
        install(None)
        await self.hub.stop()
