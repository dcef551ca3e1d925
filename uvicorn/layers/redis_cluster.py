"""Sharded pub/sub of a cluster: a subscriber for each node that has groups of ours. Loop thread only.

Each name belongs to one node, as the cluster says. When a node goes, or gives names to others, the cluster is asked
again, and what has moved is subscribed to where it is now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from uvicorn.layers.ending import close_quietly, end_all
from uvicorn.layers.redis_outage import Outage
from uvicorn.layers.redis_servers import RedisAddress
from uvicorn.layers.redis_subscriber import Subscriber

__all__ = ["ClusterSubscriber"]

_LOOK_SECONDS: Final = 5.0  # between two looks at which node has what


class ClusterSubscriber:
    """What hears from a cluster; as a `Subscriber` to whoever uses it."""

    def __init__(
        self,
        address: RedisAddress,
        on_message: Callable[[str, bytes], object],
        on_gap: Callable[[], object],
        outage: Outage,
    ) -> None:
        self.is_known = asyncio.Event()
        self._address = address
        self._on_message = on_message
        self._on_gap = on_gap
        self._outage = outage
        self._loop = asyncio.get_running_loop()
        self._cluster: Any = None
        self._slots: Any = None  # which node had what when the client was made
        self._nodes: dict[str, Subscriber] = {}
        self._places: dict[str, str] = {}  # name -> node
        self._wanted: dict[str, asyncio.Future[None]] = {}
        self._looking = asyncio.Event()
        self._task = self._loop.create_task(self._run())

    def subscribe(self, name: str) -> asyncio.Future[None]:
        """Hear of a name; return what is done when that is so."""
        future = self._wanted.get(name)
        if future is None or future.done():
            future = self._wanted[name] = self._loop.create_future()
            self._looking.set()
        return future

    def unsubscribe(self, name: str) -> None:
        """Hear of a name no more."""
        _settle(self._wanted.pop(name, None))  # who waits for it has left
        place = self._places.pop(name, None)
        if place in self._nodes:
            self._nodes[place].unsubscribe(name)

    async def stop(self) -> None:
        """Leave."""
        await end_all([self._task])
        for subscriber in self._nodes.values():
            await subscriber.stop()
        await close_quietly(self._cluster)

    async def _run(self) -> None:
        look_at = 0.0  # which node has what; however often a name is new
        while True:
            self._looking.clear()
            try:
                if self._cluster is None:
                    self._cluster = self._address.client()
                    await self._cluster.initialize()
                    self._slots = await self._cluster.cluster_slots()
                    self._outage.ends("cluster")
                    look_at = self._loop.time() + _LOOK_SECONDS
                await self._place()
                self.is_known.set()
                if not await self._is_called(max(0.0, look_at - self._loop.time())):
                    look_at = self._loop.time() + _LOOK_SECONDS
                    # A node that does not say what we know of it, or a name that is not where it was.
                    if self._outage.since or await self._cluster.cluster_slots() != self._slots:
                        await self._forget()
            except Exception as error:
                self._outage.begins("cluster", error)
                self.is_known.set()
                await self._forget()
                await asyncio.sleep(1.0)

    async def _is_called(self, seconds: float) -> bool:
        """Wait until a name is to be heard of, for so many seconds at most; return whether one is."""
        try:
            await asyncio.wait_for(self._looking.wait(), seconds)
        except asyncio.TimeoutError:
            return False
        return True

    async def _forget(self) -> None:
        """Have the cluster asked anew which node has what."""
        cluster, self._cluster = self._cluster, None
        await close_quietly(cluster)

    async def _place(self) -> None:
        """Subscribe to each name at the node that has it now; what was sent to one meanwhile may be lost."""
        moved = []
        for name, future in tuple(self._wanted.items()):
            node = self._cluster.get_node_from_key(name)
            if node is None:
                continue
            place = f"{node.host}:{node.port}"
            old = self._places.get(name)
            if old == place:
                if not future.done():  # asked for again
                    self._ask(name, place, future)
                continue
            if old in self._nodes:
                self._nodes[old].unsubscribe(name)
            self._places[name] = place
            if place not in self._nodes:
                self._nodes[place] = self._made(node.host, node.port)
            heard = self._ask(name, place, future)
            if old is not None:
                moved.append(heard)
        if moved:
            asyncio.gather(*moved).add_done_callback(lambda _: self._on_gap())

    def _ask(self, name: str, place: str, future: asyncio.Future[None]) -> asyncio.Future[None]:
        heard = self._nodes[place].subscribe(name)
        heard.add_done_callback(partial(self._heard, name, place, future))
        return heard

    def _heard(self, name: str, place: str, future: asyncio.Future[None], _: object) -> None:
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
        )


def _settle(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)
