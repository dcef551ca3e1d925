"""The other processes of a local layer: who is there, what each wants, and the connections to them. Loop thread only.

See `local_finding.py` for how they find each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from uvicorn.layers.asking import carry_out
from uvicorn.layers.ending import within
from uvicorn.layers.handover import DONE, Handover
from uvicorn.layers.local_asked import Asked
from uvicorn.layers.local_finding import Finder
from uvicorn.layers.local_links import Link, answer, frame
from uvicorn.layers.local_peer import Peer, wait_for_answers
from uvicorn.layers.local_place import Place
from uvicorn.layers.log import Log

__all__ = ["Peers"]

_GREET_SECONDS: Final = 5.0  # that a process which comes waits for those that are there
_LOOK_EVERY: Final = 5  # ticks
_ANSWER_SECONDS: Final = 5.0  # that a process may take


class Peers:
    """All other processes.

    Args:
        place: where they are; None if there are no others.
    """

    def __init__(self, layer: Asked, node: str, place: Place | None, log: Log) -> None:
        self._layer = layer
        self._node = node
        self._log = log
        self._peers: dict[str, Peer] = {}
        self._inbound: set[Link] = set()
        self._ticks = 0
        self._greeted = asyncio.Event()
        self._finder = Finder(self, node, place, log)
        self._is_stopping = False

    def enter(self) -> bool:
        """Make our socket; return whether others can find us."""
        return self._finder.enter()

    async def start(self) -> None:
        """Connect to all that are there, after `enter`; wait until they know us, as long as is decent."""
        await self._finder.start()
        with suppress(asyncio.TimeoutError):
            await within(_GREET_SECONDS, self._all_greeted())

    async def stop(self) -> None:
        """Leave."""
        self._is_stopping = True
        self._finder.stop()
        for link in (*self._inbound, *(peer.link for peer in self._peers.values() if peer.link is not None)):
            link.close()
        for peer in self._peers.values():
            peer.on_left()
        await asyncio.sleep(0)

    def tick(self) -> None:
        """Look now and then for processes that are there and not connected; wait for no answer for ever."""
        before = asyncio.get_running_loop().time() - _ANSWER_SECONDS
        for peer in self.all():
            if peer.link is not None:
                peer.link.expire(before)
        for peer in self._peers.values():
            peer.expire(before)
        self._ticks += 1
        if self._ticks % _LOOK_EVERY == 0:
            self._finder.look()

    def all(self) -> list[Peer]:
        """Return all that are connected."""
        return [peer for peer in self._peers.values() if peer.link is not None and not peer.link.is_lost]

    def consumers(self, channel: str) -> list[Peer]:
        """Return those that consume a channel, and take what is sent."""
        return [peer for peer in self._peers.values() if channel in peer.channels and peer.takes]

    def publish(self, group: str, data: bytes) -> None:
        """Send a frame to those that have members of a group; one that is behind misses it."""
        for peer in self._peers.values():
            if group in peer.groups:
                peer.publish(group, data)

    def send_all(self, *parts: Any) -> None:
        """Tell all of groups or channels of ours; one that is behind is told when it has caught up."""
        ready = self._ready()
        if ready:
            data = frame(*parts)
            for peer in ready:
                peer.send(data)

    def subscribe(self, group: str) -> Awaitable[Any]:
        """Tell all that we have members of a group; done when they know.

        One that does not answer, or has no connection yet, is not waited for without end. What it has sent before it
        knew, is a gap.
        """
        asked = [peer.ask("subscribe", group) for peer in self._ready()]
        asked += [peer.when_told() for peer in self._peers.values() if peer.link is None]
        if not asked:
            return DONE
        return Handover(asyncio.get_running_loop().create_task(self._told(group, asked)), lambda error: None)

    def request(self, node: str, kind: str, channel: str, content: Any) -> Awaitable[Any]:
        """Ask something of a reply channel of one; done when it has answered or left. One that is gone is no error.

        Raises: ChannelLayerUnavailable if it takes nothing; when awaited, for what it says, and if it does not answer.
        """
        peer = self._peers.get(node)
        return DONE if peer is None else peer.request(self._on_refused, kind, channel, content)

    async def members(self, group: str) -> list[str]:
        """Return the names of the members of a group that others have; of those that do not answer, none."""
        asked = [peer.ask("members", group) for peer in self._peers.values() if group in peer.groups and peer.takes]
        late = await wait_for_answers(asked)
        answered = [future for future in asked if future not in late and future.exception() is None]
        return [name for future in answered for name in future.result()]

    async def _all_greeted(self) -> None:
        """Wait until all have said who they are to which we are connected."""
        while any(peer.link is not None and not peer.has_greeted for peer in self._peers.values()):
            self._greeted.clear()
            await self._greeted.wait()

    def _on_refused(self, error: BaseException) -> None:
        self._log.warning("Another worker has not done what it was asked for: %s", error)

    async def _told(self, group: str, asked: list[asyncio.Future[Any]]) -> None:
        late = await wait_for_answers(asked)
        for future in late:
            future.add_done_callback(lambda _: self._layer.on_gap({group: None}))
        if any(future.exception() is None and future.result() is False for future in asked if future not in late):
            self._layer.on_gap({group: None})

    def _ready(self) -> list[Peer]:
        """Return those that take what is sent, and note that the others do not know of it."""
        for peer in self._peers.values():
            peer.is_stale = peer.is_stale or (peer.link is not None and peer.link.is_behind)
        return [peer for peer in self._peers.values() if peer.takes]

    # ---- what the finder asks and tells ----

    def is_connected(self, node: str) -> bool:
        """Whether there is a connection to a process, on which we send."""
        peer = self._peers.get(node)
        return peer is not None and peer.link is not None

    def on_connected(self, node: str, link: Link) -> None:
        """There is a connection to a process."""
        peer = self._peers.setdefault(node, Peer(node))
        groups, channels = self._layer.greeting()
        peer.on_connected(link, frame("hello", self._node, groups, channels))
        if groups:
            link.ask("subscribe", groups[0]).add_done_callback(partial(self._on_told, peer, link))
        else:
            peer.on_told()
        for channel in peer.channels:
            self._layer.on_consumers(channel)

    def _on_told(self, peer: Peer, link: Link, answer: asyncio.Future[Any]) -> None:
        """A process knows of which groups we have members, or does not answer: it has told us of nothing before."""
        is_lost = answer.exception() is not None and link.is_lost  # there will be another connection, or it has left
        if not is_lost and not self._is_stopping:
            peer.on_told()
            self._layer.on_peers_changed()

    # ---- what links tell ----

    def on_frame(self, link: Link, parts: list[Any]) -> None:
        """A frame has come."""
        kind = parts[0]
        if link.node is None:
            if kind == "hello":
                self._greet(link, parts)
            elif kind == "program":
                link.node = ""
            else:
                link.cut()
            return
        peer = self._peers.get(link.node)
        if kind == "message":
            self._layer.on_message(parts[1], parts[2])
        elif kind == "kept":
            self._layer.on_kept(*parts[1:5])
        elif kind == "request":
            carry_out(partial(self._layer.on_request, *parts[1:4]), partial(answer, link, parts[4]))
        elif kind == "members":
            answer(link, parts[2], self._layer.names_in(parts[1]))
        elif kind == "offer":
            answer(link, parts[5], self._layer.on_offer(*parts[1:5]))
        elif peer is not None:
            self._on_news(link, peer, parts)
        elif link.node == "":
            carry_out(partial(self._layer.on_program, *parts[:4]), partial(answer, link, parts[-1]))

    def on_lost(self, link: Link) -> None:
        """A connection is gone."""
        self._inbound.discard(link)
        peer = self._peers.get(link.node or "")
        if peer is None:
            return
        if peer.link is link or peer.link is None or peer.link.is_lost:
            # One that is there still has closed only this connection: what it wants we know, and it will not say again.
            if any(other.node == peer.node and not other.is_lost for other in self._inbound):
                peer.link = None
            else:
                del self._peers[peer.node]
                peer.on_left()
            if not self._is_stopping:
                self._finder.look()
                self._layer.on_peers_changed()
        if link.is_unreadable and not self._is_stopping:
            self._log.error("A worker has sent what cannot be read: the connection to it is made anew")
            self._layer.on_gap(dict.fromkeys(self._layer.greeting()[0]))
        self._greeted.set()

    def on_behind(self, link: Link) -> None:
        """A process takes nothing, or has caught up."""
        peer = self._peers.get(link.node or "")
        if peer is None or peer.link is not link:
            return
        if link.is_behind:
            self._log.warning("A worker takes no messages of groups: those to it are dropped until it does")
        else:
            if peer.is_stale:
                peer.is_stale = False
                peer.send(frame("state", *self._layer.greeting()))
            self._log.warning("The worker takes messages again; it missed %d", sum(peer.missed.values()))
            peer.tell_missed()

    # ---- one process ----

    def _greet(self, link: Link, parts: list[Any]) -> None:
        """A process says who it is."""
        node = str(parts[1])
        link.node = node
        self._inbound.add(link)
        peer = self._peers.get(node)
        if peer is None:
            peer = self._peers[node] = Peer(node)
        peer.groups = set(parts[2])
        peer.has_greeted = True
        self._greeted.set()
        self._set_channels(peer, parts[3])
        if peer.link is None:
            self._finder.look(node)
        self._layer.on_peers_changed()

    def _on_news(self, link: Link, peer: Peer, parts: list[Any]) -> None:
        kind = parts[0]
        if kind == "subscribe":
            peer.groups.add(parts[1])
            answer(link, parts[2], True)
        elif kind == "unsubscribe":
            peer.groups.discard(parts[1])
        elif kind == "consume":
            self._set_channels(peer, parts[1])
        elif kind == "state":
            peer.groups = set(parts[1])
            self._set_channels(peer, parts[2])
        elif kind == "gap":
            self._layer.on_gap(parts[1])

    def _set_channels(self, peer: Peer, channels: list[str]) -> None:
        new = [channel for channel in channels if channel not in peer.channels]
        peer.channels = tuple(channels)
        if peer.link is not None:
            for channel in new:
                self._layer.on_consumers(channel)
