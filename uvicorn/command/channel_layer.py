"""The worker's part in groups and channels: it makes the layer and the hub, and starts and stops them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from uvicorn.applications.router import Router, SingleConsumer
from uvicorn.bridge.background import BackgroundCalls
from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.dispatcher import Dispatcher
from uvicorn.bridge.sides import Sides
from uvicorn.command.attending import attended_message
from uvicorn.command.django_tasks import task_consumers
from uvicorn.command.layer_place import named_place
from uvicorn.command.layer_settings import LayerSettings
from uvicorn.layers.background import Background
from uvicorn.layers.current import install, uninstall
from uvicorn.layers.hub import Hub
from uvicorn.layers.local_place import Place
from uvicorn.layers.office import WorkerOffice
from uvicorn.layers.opening import open_layer
from uvicorn.wire.shared import share

__all__ = ["WorkerLayer"]

_SETTLE_SECONDS: Final = 1.0  # for the ends of calls that are on their way


class WorkerLayer:
    """The groups and channels of one worker. Made on: the loop's thread, after the fork.

    Args:
        place: what `make_place` returned.
        has_ids: requests have ids, which go with what they send to channels.

    Attributes:
        task_consumers: what runs Django's tasks, beside the consumers of the application.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        dispatcher: Dispatcher,
        application: Router | SingleConsumer,
        settings: LayerSettings,
        place: str | None,
        log: Any,
        has_ids: bool = False,
    ) -> None:
        attend = partial(attended_message, dispatcher.context)

        def log_for(request_id: str) -> Any:
            attended = attend(request_id)
            return log if attended is None else attended.log(log)

        self._calls = BackgroundCalls(dispatcher, attend if has_ids else None)
        self._clears = "" if place else named_place(settings.url)  # without a master that would
        layer = open_layer(settings.url, place, settings.limits, log)
        self.hub: Final = Hub(
            loop, layer, dispatcher.outbox.directory, log, settings.bounds, settings.group_expiry, share
        )

        routed, tasks = application.channels(), task_consumers()
        self.task_consumers: Final = tuple({id(each): each for pair in tasks.values() for each in pair}.values())

        def find(channel: str, content: Mapping[str, Any]) -> Consumer | None:
            if channel in tasks and channel not in routed:
                return tasks[channel][bool(content.get("on_loop"))]
            return application.find(channel, "", content)

        channels = {
            channel: consumers for channel, consumers in {**tasks, **routed}.items() if settings.consumes(channel)
        }
        self._background = Background(layer, channels, find, self._calls, log, log_for if has_ids else None)
        if settings.only:
            shown = ", ".join(sorted(channels)) or "none: no route is for a channel that only_channels matches"
            log.info("Channels consumed here: %s", shown)
        request_id = None
        if has_ids:
            from uvicorn.watching.request_ids import current_request_id  # where requests have ids

            request_id = current_request_id.get
        self._office = WorkerOffice(self.hub, Sides(dispatcher.crossing, self.hub.deferred), settings.url, request_id)
        install(self._office)

    async def start(self) -> None:
        """Begin to carry messages; those of channels come from `consume` on."""
        await self.hub.start()

    def consume(self) -> None:
        """Have messages of channels come: the application has started."""
        self._background.start()

    def tick(self) -> None:
        """Do once a second what depends on time."""
        self.hub.tick()

    def begin_stopping(self) -> None:
        """Take no more messages of channels. Idempotent."""
        self._background.begin_stopping()
        self._calls.begin_stopping()
        self.hub.layer.retire()

    async def stop(self) -> None:
        """Leave the layer; from now on sending is an error."""
        await self._calls.settled(_SETTLE_SECONDS)
        self.give_back()
        await self.hub.stop()
        if self._clears:
            Place(self._clears).clear(is_over=False)

    def give_back(self) -> None:
        """Have `Group` and `Channel` not find this server any more."""
        uninstall(self._office)
