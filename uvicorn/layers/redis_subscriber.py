"""The connection on which a process hears from Redis: one subscription per group, whoever the members are.

Theory of operation
-------------------
Loop thread only. `wanted` has what we want to hear of. One task connects, subscribes to all of that, and reads, until
the connection breaks; then it begins anew, and says that messages may be lost. Another one sends what changes
meanwhile, in order. `subscribe` is done when Redis has confirmed it: the last one, if a name was left and wanted again
meanwhile, since between the two nothing is heard of it. A connection on which nothing is heard is asked (PING), and
broken if there is no answer: a Redis that was stopped or cut off says nothing.

In a cluster there is one of us per node: each name belongs to one node (sharded pub/sub).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from uvicorn.layers.ending import close_quietly, end_all, ignore_error, within
from uvicorn.layers.redis_outage import Backoff, Outage

__all__ = ["Subscriber"]

_AT_ONCE: Final = 500  # names in one command
_IN_A_TURN: Final = 64  # messages


class Subscriber:
    """What hears from one Redis.

    Args:
        make_client: makes a client whose reads have no end.
        on_message: called with a name and what has come.
        on_gap: called when we hear again, after the connection was broken.
        is_sharded: the Redis is a node of a cluster.
    """

    def __init__(
        self,
        part: str,
        make_client: Callable[[], Any],
        on_message: Callable[[str, bytes], object],
        on_gap: Callable[[], object],
        outage: Outage,
        timeout: float,
        is_sharded: bool = False,
    ) -> None:
        self.wanted: Final[dict[str, asyncio.Future[None] | None]] = {}  # who waits for the confirmation
        self.is_known = asyncio.Event()
        self._part = part
        self._make_client = make_client
        self._on_message = on_message
        self._on_gap = on_gap
        self._outage = outage
        self._timeout = timeout
        self._words = ("ssubscribe", "sunsubscribe") if is_sharded else ("subscribe", "unsubscribe")
        # One command has names of one slot only.
        self._at_once = 1 if is_sharded else _AT_ONCE
        self._changes: list[tuple[bool, str]] = []
        self._changed = asyncio.Event()
        self._beginning: Counter[str] = Counter()  # names -> subscriptions that are to be confirmed
        self._ending: Counter[str] = Counter()  # names whose end we have asked for
        self._is_open = False
        self._was_open = False
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run())

    def subscribe(self, name: str) -> asyncio.Future[None]:
        """Hear of a name; return what is done when that is so."""
        future = self.wanted.get(name)
        if future is None or future.done():  # or it is asked for already
            future = self.wanted[name] = self._loop.create_future()
            self._change(True, name)
        return future

    def unsubscribe(self, name: str) -> None:
        """Hear of a name no more."""
        if name in self.wanted:
            _settle(self.wanted.pop(name))
            self._change(False, name)

    async def stop(self) -> None:
        """Leave."""
        await end_all([self._task])

    def _change(self, is_wanted: bool, name: str) -> None:
        self._changes.append((is_wanted, name))
        if is_wanted:  # else names that were left once would be counted for ever, with 0
            self._beginning[name] += 1
        self._changed.set()

    async def _run(self) -> None:
        backoff = Backoff()
        while True:
            while not self.wanted:  # a node of a cluster that has none of our groups
                self._changed.clear()
                self._outage.ends(self._part)
                self.is_known.set()
                await self._changed.wait()
            client = None
            try:
                client = self._make_client()
                pubsub = client.pubsub()
                try:
                    await self._hear(pubsub, backoff)
                finally:
                    await close_quietly(pubsub)
            except Exception as error:
                self._outage.begins(self._part, error)
            finally:
                self._is_open = False
                self.is_known.set()
                await close_quietly(client)
            await asyncio.sleep(backoff.seconds())

    async def _hear(self, pubsub: Any, backoff: Backoff) -> None:
        """Subscribe to all that is wanted, and read until the connection breaks."""
        self._changes.clear()
        self._ending.clear()
        missing = set(self.wanted)
        self._beginning = Counter(missing)
        subscribe = getattr(pubsub, self._words[0])
        names = sorted(missing)
        for at in range(0, len(names), self._at_once):
            await within(self._timeout, subscribe(*names[at : at + self._at_once]))
        writer = self._loop.create_task(self._write(pubsub))
        writer.add_done_callback(ignore_error)  # a broken connection may be noticed by both at once
        try:
            await self._read(pubsub, missing, backoff, writer)
        finally:
            await end_all([writer])

    async def _read(self, pubsub: Any, missing: set[str], backoff: Backoff, writer: asyncio.Task[None]) -> None:
        is_asked = False
        count = 0
        while not writer.done():
            message = await pubsub.get_message(timeout=self._timeout)
            if message is None:
                if is_asked:
                    raise ConnectionError(f"no answer for {self._timeout:g} seconds")
                is_asked = True
                await within(self._timeout, pubsub.ping())
                continue
            is_asked = False
            kind = message["type"]
            if kind in ("message", "smessage"):
                self._on_message(message["channel"].decode(), message["data"])
                count += 1
                if count % _IN_A_TURN == 0:
                    await asyncio.sleep(0)  # others are served between
            elif kind == self._words[0]:
                missing.discard(message["channel"].decode())
                self._begun(message["channel"].decode())
            elif kind == self._words[1]:
                missing.discard(message["channel"].decode())
                self._ended(message["channel"].decode())
            if not missing and not self._is_open:
                self._open(backoff)
        writer.result()

    def _begun(self, name: str) -> None:
        """Redis has confirmed a subscription."""
        self._beginning[name] -= 1
        if self._beginning[name] > 0:
            return  # it ends again, and then comes the one that is waited for
        del self._beginning[name]
        if name in self.wanted:
            waiting, self.wanted[name] = self.wanted[name], None
            _settle(waiting)

    def _ended(self, name: str) -> None:
        """A subscription has ended: as we asked for, or because a node of a cluster has given the name to another.

        Raises: ConnectionError in the second case.
        """
        if self._ending[name] > 0:
            self._ending[name] -= 1
            if not self._ending[name]:
                del self._ending[name]
        elif name in self.wanted:
            raise ConnectionError(f"the node has given {name} to another")

    def _open(self, backoff: Backoff) -> None:
        self._is_open = True
        backoff.reset()
        self.is_known.set()
        self._outage.ends(self._part)
        if self._was_open:
            self._on_gap()
        self._was_open = True

    async def _write(self, pubsub: Any) -> None:
        """Send what changes."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            changes, self._changes = self._changes, []
            at = 0
            while at < len(changes):
                end = at
                while end < len(changes) and changes[end][0] == changes[at][0] and end - at < self._at_once:
                    end += 1
                send = getattr(pubsub, self._words[0 if changes[at][0] else 1])
                if not changes[at][0]:
                    self._ending.update(name for _, name in changes[at:end])
                await within(self._timeout, send(*[name for _, name in changes[at:end]]))
                at = end


def _settle(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)
