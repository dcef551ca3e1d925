"""Which node of a cluster has which names, as one of them says. Loop thread only.

Theory of operation
-------------------
One task asks (CLUSTER SLOTS), now and then, and soon when somebody is in doubt: a connection broke, or a node said that
a name is elsewhere. What is known holds meanwhile, so that nobody waits for it.

*Silent nodes.* A node that hangs takes connections and says nothing. So the next node is asked when the first has not
answered within a part of the time, and the first answer is taken. Those that the URL names are asked when no other one
has answered: one of them may have left, and know nothing of it. For the same reason it is not always the same node that
is asked.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from uvicorn.layers.ending import close_quietly, end_all, within
from uvicorn.layers.redis_outage import Backoff, Outage
from uvicorn.layers.redis_servers import RedisAddress

__all__ = ["Place", "Topology"]

_SLOTS: Final = 16384
_LOOK_SECONDS: Final = 5.0  # between two looks
_DOUBT_SECONDS: Final = 0.1  # between a doubt and the look: nodes tell each other first
_LOOKS_AT_ONE: Final = 12  # then another node is asked
_HEAD_START: Final = 5  # part of the time, after which the next node is asked, too
_PART: Final = "cluster"


class Place(NamedTuple):
    """Where a node is."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Topology:
    """What is known of a cluster.

    Attributes:
        nodes: those that have names.
        is_asked: set when that was tried once.
        on_change: called when something has changed.
    """

    def __init__(self, address: RedisAddress, outage: Outage) -> None:
        from redis.crc import key_slot

        self.nodes: frozenset[Place] = frozenset()
        self.is_asked = asyncio.Event()
        self.on_change: Final[list[Callable[[], object]]] = []
        self._slot_of: Final[Callable[[bytes], int]] = key_slot
        self._address = address
        self._outage = outage
        self._places: list[Place | None] = [None] * _SLOTS
        self._answer: Any = None  # of which `_places` is made
        self._moves: dict[int, Place] = {}  # that are not in `_places` yet
        self._others: deque[Place] = deque()  # all nodes, in the order in which they are asked
        self._clients: dict[Place, Any] = {}
        self._is_doubted = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run())

    @property
    def places(self) -> list[Place | None]:
        """The node that has each slot; never changed, but replaced by another list."""
        return self._places

    def slot_of(self, name: str) -> int:
        """Return the slot of a name."""
        return self._slot_of(name.encode())

    def place_of(self, name: str) -> Place | None:
        """Return the node that has a name."""
        return self._places[self._slot_of(name.encode())]

    def doubt(self) -> None:
        """Ask soon."""
        self._is_doubted.set()

    def moved(self, slot: int, place: Place) -> None:
        """A node has said who has a slot now. Many may come in one turn, when a node has given all its names away."""
        self._is_doubted.set()
        if not self._moves:
            self._loop.call_soon(self._move)
        self._moves[slot] = place

    async def stop(self) -> None:
        """Ask no more."""
        await end_all([self._task])
        await self._close_all_but(None)

    async def _run(self) -> None:
        backoff = Backoff()
        looks = 0
        while True:
            self._is_doubted.clear()
            try:
                self._take(*await self._ask())
            except Exception as error:
                self._outage.begins(_PART, error)
                self.is_asked.set()
                await asyncio.sleep(backoff.seconds())
                continue
            self._outage.ends(_PART)
            self.is_asked.set()
            backoff.reset()
            looks += 1
            try:
                await asyncio.wait_for(self._is_doubted.wait(), _LOOK_SECONDS)
            except asyncio.TimeoutError:
                if looks % _LOOKS_AT_ONE == 0:
                    self._others.rotate(-1)
            else:
                self._others.rotate(-1)
                await asyncio.sleep(_DOUBT_SECONDS)

    async def _ask(self) -> tuple[Place, Any]:
        """Return what a node says, and which one. Raises: what redis-py raises for the last one."""
        try:
            return await self._ask_any(self._others)
        except Exception:
            return await self._ask_any(Place(*each) for each in self._address.hosts)

    async def _ask_any(self, places: Iterable[Place]) -> tuple[Place, Any]:
        left = deque(places)
        asked: set[asyncio.Task[tuple[Place, Any]]] = set()
        error: BaseException = ConnectionError("no node is known")
        best: Place | None = None
        try:
            while left or asked:
                if left:
                    asked.add(self._loop.create_task(self._ask_one(left.popleft())))
                seconds = self._address.timeout / _HEAD_START if left else None
                done, asked = await asyncio.wait(asked, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    known = task.exception()
                    if known is None:
                        best = task.result()[0]
                        return task.result()
                    error = known
            raise error
        finally:
            await end_all(asked)
            await self._close_all_but(best)

    async def _close_all_but(self, best: Place | None) -> None:
        for place in [*self._clients]:
            if place != best:
                await close_quietly(self._clients.pop(place))

    async def _ask_one(self, place: Place) -> tuple[Place, Any]:
        client = self._clients.get(place)
        if client is None:
            client = self._clients[place] = self._address.node_client(*place)
        answer = await within(self._address.timeout, client.execute_command("CLUSTER", "SLOTS"))
        if not answer:
            raise ConnectionError(f"{place} knows of no cluster")
        return place, answer

    def _take(self, asked: Place, answer: Any) -> None:
        if answer == self._answer:
            return
        self._answer = answer
        places: list[Place | None] = [None] * _SLOTS
        masters, others = [], []
        for first, last, *nodes in answer:
            # A node that does not know by which name it is reached is reached as it was now.
            found = [Place((host or b"").decode() or asked.host, port) for host, port, *_ in nodes]
            places[first : last + 1] = [found[0]] * (last + 1 - first)
            masters.append(found[0])
            others += found
        self._others = deque(dict.fromkeys(others))
        self.nodes = frozenset(masters)
        self._places = places
        self._tell()

    def _move(self) -> None:
        moves, self._moves = self._moves, {}
        self._places = [*self._places]
        for slot, place in moves.items():
            self._places[slot] = place
        self.nodes |= {*moves.values()}
        self._answer = None
        self._tell()

    def _tell(self) -> None:
        for call in self.on_change:
            call()
