"""How the processes of a local layer find each other: each listens, and connects to all that are there.

See `local.py` for why two that come at the same time do not miss each other. Loop thread only.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

from uvicorn.layers.ending import wait_at_most
from uvicorn.layers.local_links import Link, Owner
from uvicorn.layers.local_place import Place
from uvicorn.layers.log import Log

__all__ = ["Finder", "Finding"]

_CONNECT_SECONDS: Final = 5.0  # that a process which comes waits for its connections to those that are there


class Finding(Owner, Protocol):
    """For whom processes are found."""

    def is_connected(self, node: str) -> bool:
        """Whether there is a connection to a process already."""

    def on_connected(self, node: str, link: Link) -> None:
        """There is one now."""


class Finder:
    """What listens for other processes, and looks for them.

    Args:
        node: the name of this one.
        place: where they are; None if there are no others.
    """

    def __init__(self, owner: Finding, node: str, place: Place | None, log: Log) -> None:
        self._owner = owner
        self._node = node
        self._place = place
        self._log = log
        self._server: Any = None
        self._connecting: dict[str, asyncio.Task[None]] = {}
        self._is_stopping = False

    def enter(self) -> bool:
        """Make our socket; return whether others can find us."""
        if self._place is None:
            return False
        try:
            self._listener = self._place.enter(self._node)
        except OSError as error:
            self._log.error("Groups and channels reach this worker alone: %s", error)
            self._place = None
            return False
        return True

    async def start(self) -> None:
        """Listen, and connect to all that are there, after `enter`."""
        if self._place is None:
            return
        listener = self._listener
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: Link(self._owner), sock=listener)
        self.look()
        await wait_at_most(_CONNECT_SECONDS, self._connecting.values())

    def stop(self) -> None:
        """Listen and look no more; connections stay."""
        self._is_stopping = True
        if self._place is not None:
            self._place.leave()
        if self._server is not None:
            self._server.close()
        for task in self._connecting.values():
            task.cancel()

    def look(self, node: str | None = None) -> None:
        """Connect to those that are there, and to which we are not connected; or to one of them."""
        if self._place is None or self._is_stopping:
            return
        loop = asyncio.get_running_loop()
        for other, path in self._place.others():
            if other not in self._connecting and not self._owner.is_connected(other) and node in (None, other):
                self._connecting[other] = loop.create_task(self._connect(other, path))

    async def _connect(self, node: str, path: str) -> None:
        try:
            link = Link(self._owner, node)
            await asyncio.get_running_loop().create_unix_connection(lambda: link, path)
        except (ConnectionRefusedError, FileNotFoundError):
            if self._place is not None:
                self._place.forget(path)  # killed
            return
        except OSError as error:
            self._log.warning("A worker cannot be reached for groups and channels: %s", error)
            return
        finally:
            self._connecting.pop(node, None)
        if not link.is_lost:
            self._owner.on_connected(node, link)
