"""What sends commands to the nodes of a cluster: to each by a publisher of its own. Loop thread only.

Theory of operation
-------------------
Each key belongs to one node, as the cluster says (`redis_topology.py`). A node that hangs holds up what is sent to it,
and nothing else.

*In order.* What is sent for one key stays in order when the key goes to another node. Commands may be on their way to
the old one then; until their answers have come, new ones for that key wait behind them (`_leaving`). Then all that
waits goes to where it belongs now.

*Not twice.* A command is sent again only where it is known that no node has carried it out: it was not sent, or the
node said that the key is elsewhere (MOVED, ASK).
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.errors import ChannelLayerUnavailable
from uvicorn.layers.ending import end_all, ignore_error
from uvicorn.layers.redis_commands import Command, Sender
from uvicorn.layers.redis_outage import Outage
from uvicorn.layers.redis_publisher import Publisher
from uvicorn.layers.redis_scripts import Script
from uvicorn.layers.redis_servers import RedisAddress
from uvicorn.layers.redis_topology import Place, Topology

__all__ = ["ClusterPublisher"]


class ClusterPublisher(Sender):
    """What sends to a cluster; as a `Publisher` to whoever uses it."""

    def __init__(self, address: RedisAddress, topology: Topology, outage: Outage) -> None:
        self.is_known: Final = topology.is_asked
        self._address = address
        self._topology = topology
        self._outage = outage
        self._loop = asyncio.get_running_loop()
        self._known = topology.places
        self._nodes: dict[Place, Publisher] = {}
        #: for what is sent before it is known which node has what; then None
        self._nowhere: Publisher | None = Publisher(address, outage, lambda seconds: _Nowhere(), "finding a node")
        self._leaving: dict[int, Publisher] = {}  # slot -> the one that waits for answers for it
        self._is_stopped = False  # no publisher is made any more
        self._last: set[asyncio.Task[Any]] = set()
        self._ending: set[asyncio.Task[None]] = set()
        topology.on_change.append(self._on_change)

    def put(self, words: tuple[Any, ...], script: Script | None) -> Command:
        """Have a command sent by the one that has its key. Raises: ChannelLayerUnavailable."""
        if self._is_stopped:
            raise ChannelLayerUnavailable("the worker is stopping")
        slot = self._topology.slot_of(words[3] if script is not None else words[1])
        return (self._leaving.get(slot) or self._publisher_of(slot)).put(words, script)

    def extend(self, command: Command, *arguments: Any) -> bool:
        """Give a command more arguments, for one more message; return False if it is sent, or too much waits."""
        slot = self._topology.slot_of(command.key)
        return (self._leaving.get(slot) or self._publisher_of(slot)).extend(command, *arguments)

    def run_last(self, script: Script, keys: tuple[str, ...], *arguments: Any) -> asyncio.Future[Any]:
        """Run a script after all that was put before, for whichever node."""
        slot = self._topology.slot_of(keys[0])
        own = self._leaving.get(slot) or self._publisher_of(slot)
        before = [last for each in self._all() if each is not own and (last := each.last) is not None]
        if not before:
            return self.run(script, keys, *arguments)
        task = self._loop.create_task(self._run_after(before, script, keys, arguments))
        self._last.add(task)
        task.add_done_callback(self._last.discard)
        task.add_done_callback(ignore_error)  # whoever waits has it, too
        return task

    async def stop(self, seconds: float) -> None:
        """Send what waits, and wait for the answers, for so many seconds at most, and leave."""
        until = self._loop.time() + seconds
        if self._last:
            await asyncio.wait(self._last, timeout=seconds)
        self._is_stopped = True
        left = max(0.0, until - self._loop.time())
        await asyncio.gather(*(each.stop(left) for each in self._all()), *self._ending)
        await end_all(self._last)

    def _all(self) -> list[Publisher]:
        return [*self._nodes.values(), *([] if self._nowhere is None else [self._nowhere])]

    async def _run_after(
        self, before: list[asyncio.Future[Any]], script: Script, keys: tuple[str, ...], arguments: tuple[Any, ...]
    ) -> Any:
        await asyncio.wait(before)
        return await self.run(script, keys, *arguments)

    # ---- who has what ----

    def _publisher_of(self, slot: int) -> Publisher:
        """Return what sends to the node that has a slot. Raises: ChannelLayerUnavailable if none has it."""
        place = self._known[slot]
        if place is not None:
            return self._at(place)
        if self._nowhere is None:
            raise ChannelLayerUnavailable(f"{self._address.shown} cannot be reached: no node has the name")
        return self._nowhere

    def _at(self, place: Place) -> Publisher:
        found = self._nodes.get(place)
        if found is None:
            found = self._nodes[place] = self._made(place)
        return found

    def _on_change(self) -> None:
        """Something belongs to another node now."""
        known, self._known = self._known, self._topology.places
        nowhere, self._nowhere = self._nowhere, None
        if nowhere is not None:
            self._hand_over(nowhere)
            self._close(nowhere)
        for slot, (old, new) in enumerate(zip(known, self._known, strict=True)):
            if old is not new and old is not None and old != new:
                publisher = self._nodes.get(old)
                if publisher is not None and not publisher.is_idle:
                    self._leaving.setdefault(slot, publisher)
        for publisher in {*self._leaving.values()}:
            if not publisher.is_busy:
                self._hand_over(publisher)
        self._close_those_that_have_left()

    def _on_answered(self, publisher: Publisher) -> None:
        """Nothing is on its way to a node."""
        if publisher in self._leaving.values():
            self._hand_over(publisher)
            self._close_those_that_have_left()

    def _hand_over(self, publisher: Publisher) -> None:
        """Put what has not been sent where it belongs now."""
        for slot in [slot for slot, each in self._leaving.items() if each is publisher]:
            del self._leaving[slot]
        for command in publisher.take_all():
            try:
                self._publisher_of(self._topology.slot_of(command.key)).add(command)
            except ChannelLayerUnavailable as error:
                command.fail(error)

    def _on_moved(self, own: Place, command: Command, error: Any) -> None:
        """A node has not carried out a command, and said which one would."""
        from redis.exceptions import MovedError

        place = Place(error.host or own.host, error.port)
        command.asks = not isinstance(error, MovedError)
        self._at(place).add(command)
        if not command.asks:
            self._topology.moved(error.slot_id, place)

    def _close_those_that_have_left(self) -> None:
        for place, publisher in tuple(self._nodes.items()):
            if place not in self._topology.nodes and publisher.is_idle and publisher not in self._leaving.values():
                del self._nodes[place]
                self._close(publisher)

    def _close(self, publisher: Publisher) -> None:
        task = self._loop.create_task(publisher.leave())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _made(self, place: Place) -> Publisher:
        made = Publisher(
            self._address,
            self._outage,
            lambda seconds: self._address.node_client(*place, seconds),
            f"publishing to {place}",
            lambda: self._on_answered(made),
            self._topology.doubt,
            lambda command, error: self._on_moved(place, command, error),
        )
        return made


class _Nowhere:
    """What stands for the client of a node that is not known: no connection is ever made."""

    @property
    def connection_pool(self) -> _Nowhere:
        return self

    async def get_connection(self) -> None:
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        pass
