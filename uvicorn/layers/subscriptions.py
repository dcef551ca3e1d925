"""To which groups this process is subscribed at its layer. Loop thread only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from uvicorn.layers.handover import DONE, Done, Handover, wait_for
from uvicorn.layers.layer import Layer

__all__ = ["Subscriptions"]


class Subscriptions:
    """The subscriptions of a hub, of which those under way are known: all that join meanwhile wait for the same one.

    Args:
        on_lost: called with the error of one that could not be made.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, layer: Layer, on_lost: Callable[[BaseException], object]
    ) -> None:
        self._loop = loop
        self._layer = layer
        self._on_lost = on_lost
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._handed: dict[str, tuple[Awaitable[Any], asyncio.Task[None]]] = {}  # what those wait for

    def begin(self, group: str) -> None:
        """Have the messages of a group come: it has its first member."""
        handover = self._layer.subscribe(group)
        if isinstance(handover, Done):
            return
        known = self._handed.get(group)
        if known is not None and known[0] is handover:  # it was left meanwhile, and one subscription does for both
            self._under_way[group] = known[1]
            return
        task = self._loop.create_task(wait_for(handover))
        self._under_way[group] = task
        self._handed[group] = handover, task

        def ended(task: asyncio.Task[None]) -> None:
            if self._under_way.get(group) is task:
                del self._under_way[group]
            if self._handed.get(group, (None, None))[1] is task:
                del self._handed[group]
            if not task.cancelled() and (error := task.exception()) is not None:
                self._on_lost(error)

        task.add_done_callback(ended)

    def confirmed(self, group: str) -> Awaitable[Any]:
        """Return what is done when messages of a group come."""
        task = self._under_way.get(group)
        return DONE if task is None else Handover(task, lambda error: None)  # one who waits may be cancelled alone

    def end(self, group: str) -> None:
        """Have them come no more: it has no member here."""
        self._under_way.pop(group, None)
        self._layer.unsubscribe(group)
