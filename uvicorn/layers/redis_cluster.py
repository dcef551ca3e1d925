"""Sharded pub/sub of a cluster: a subscriber for each node that has groups of ours. Loop thread only.

Each name belongs to one node, as the cluster says (`redis_topology.py`). When a node goes, or gives names to others,
what has moved is subscribed to where it is now, and the subscriber of a node that has left is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from uvicorn.layers.redis_outage import Outage
from uvicorn.layers.redis_servers import RedisAddress
from uvicorn.layers.redis_subscriber import Subscriber
from uvicorn.layers.redis_topology import Place, Topology

__all__ = ["ClusterSubscriber"]


class ClusterSubscriber:
    """What hears from a cluster; as a `Subscriber` to whoever uses it."""

    def __init__(
        self,
        address: RedisAddress,
        topology: Topology,
        on_message: Callable[[str, bytes], object],
        on_gap: Callable[[Iterable[str]], object],
        outage: Outage,
    ) -> None:
        self.is_known: Final = topology.is_asked
        self._address = address
        self._topology = topology
        self._on_message = on_message
        self._on_gap = on_gap
        self._outage = outage
        self._loop = asyncio.get_running_loop()
        self._nodes: dict[Place, Subscriber] = {}
        self._places: dict[str, Place] = {}  # name -> node
        self._wanted: dict[str, asyncio.Future[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._is_stopped = False
        topology.on_change.append(self._on_change)

    def subscribe(self, name: str) -> asyncio.Future[None]:
        """Hear of a name; return what is done when that is so."""
        future = self._wanted.get(name)
        if future is None or future.done():
            future = self._wanted[name] = self._loop.create_future()
            place = self._topology.place_of(name) or self._places.get(name)
            if place is not None and not self._is_stopped:  # else when it is known
                self._places[name] = place
                self._ask(name, place, future)
        return future

    def unsubscribe(self, name: str) -> None:
        """Hear of a name no more."""
        _settle(self._wanted.pop(name, None))  # who waits for it has left
        place = self._places.pop(name, None)
        if place in self._nodes:
            self._nodes[place].unsubscribe(name)

    async def stop(self) -> None:
        """Leave; the topology says nothing any more."""
        self._is_stopped = True
        await asyncio.gather(*(subscriber.stop() for subscriber in self._nodes.values()), *self._leaving)

    def _on_change(self) -> None:
        """Subscribe to each name at the node that has it now; what was sent to one meanwhile may be lost."""
        moved: dict[Place, dict[str, asyncio.Future[None]]] = {}
        for name, future in tuple(self._wanted.items()):
            place, old = self._topology.place_of(name), self._places.get(name)
            if place is None or place == old:
                continue
            if old in self._nodes:
                self._nodes[old].unsubscribe(name)
            self._places[name] = place
            heard = self._ask(name, place, future)
            if old is not None:
                moved.setdefault(place, {})[name] = heard
        for names in moved.values():  # what is heard again is told, wherever another node hangs
            asyncio.gather(*names.values()).add_done_callback(partial(self._heard_again, [*names]))
        self._close_those_that_have_left()

    def _heard_again(self, names: list[str], _: object) -> None:
        self._on_gap(names)

    def _close_those_that_have_left(self) -> None:
        for place, subscriber in tuple(self._nodes.items()):
            if place not in self._topology.nodes and not subscriber.wanted:
                del self._nodes[place]
                task = self._loop.create_task(subscriber.leave())
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)

    def _ask(self, name: str, place: Place, future: asyncio.Future[None]) -> asyncio.Future[None]:
        if place not in self._nodes:
            self._nodes[place] = self._made(*place)
        heard = self._nodes[place].subscribe(name)
        heard.add_done_callback(partial(self._heard, name, place, future))
        return heard

    def _heard(self, name: str, place: Place, future: asyncio.Future[None], _: object) -> None:
        if self._places.get(name) == place:  # else the node was left, and nothing is heard yet of the name
            _settle(future)

    def _made(self, host: str, port: int) -> Subscriber:
        return Subscriber(
            f"node {host}:{port}",
            lambda: self._address.node_client(host, port),
            self._on_message,
            self._on_gap,
            self._outage,
            self._address.timeout,
            is_sharded=True,
            on_broken=self._topology.doubt,
        )


def _settle(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)
