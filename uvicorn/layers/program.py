"""Groups and channels in a program that is no server: a management command, a task of Celery, a cron job.

It names a layer, with `use("redis://...")`, the environment variable `UVICORN_CHANNEL_LAYER` or `channel_layer=...`,
and can then send, add and discard; it has no members of its own. A thread waits until the layer has taken what it
sends. On an event loop the same is done in the loop's executor, in order, and can be awaited.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from uvicorn.errors import ChannelLayerUnavailable
from uvicorn.layers.handover import DONE, Handover
from uvicorn.layers.history import PLAIN, History, HistorySettings, Joining, packed
from uvicorn.layers.layer import ADD, DISCARD, KEEP, PUBLISH, SEND
from uvicorn.layers.limits import ChannelLimits, check_capacity
from uvicorn.layers.office import Office
from uvicorn.layers.program_local import LocalCarrier
from uvicorn.layers.urls import REDIS_SCHEMES, check_url

__all__ = ["office_of_program", "open_office", "use"]

_VARIABLE: Final = "UVICORN_CHANNEL_LAYER"
_HOW: Final = "name one with uvicorn.layers.use('redis://...') or the environment variable UVICORN_CHANNEL_LAYER"
_log: Final = logging.getLogger("uvicorn.error")

_used: str | None = None
_offices: dict[tuple[int, str], Office] = {}  # by the process, which may have been forked, and the URL


class Carrier(Protocol):
    """What carries one request of a program. Blocks until it is taken."""

    def carry(self, kind: str, name: str, content: Any, delay: float) -> None:
        """Carry PUBLISH, SEND, ADD, DISCARD, or KEEP, with content and history in a list.

        Raises: ChannelFull, ChannelLayerUnavailable, ValueError, TypeError.
        """


def use(url: str) -> None:
    """Have `Group` and `Channel` of this program use a layer; a server's own goes before it.

    Raises: ValueError for a wrong URL.
    """
    global _used
    _used = check_url(url)


def office_of_program() -> Office:
    """Return the office of a program.

    Raises: ChannelLayerUnavailable if it has named no layer.
    """
    url = _used or os.environ.get(_VARIABLE)
    if not url:
        raise ChannelLayerUnavailable(f"this process is no worker of uvicorn, and knows no channel layer: {_HOW}")
    return open_office(url)


def open_office(url: str) -> Office:
    """Return an office that sends through a layer.

    Raises: ValueError for a wrong URL; ChannelLayerUnavailable for one that no program can reach.
    """
    key = (os.getpid(), check_url(url))
    if key not in _offices:
        _offices[key] = _ProgramOffice(_carrier_of(url), url)
    return _offices[key]


def _carrier_of(url: str) -> Carrier:
    parts = urlsplit(url)
    if parts.scheme in REDIS_SCHEMES:
        from uvicorn.layers.program_redis import RedisCarrier
        from uvicorn.layers.redis_servers import RedisAddress

        limits = ChannelLimits(*check_capacity(os.environ.get("UVICORN_CHANNEL_CAPACITY", "100")))
        return RedisCarrier(RedisAddress(url), limits)
    if parts.scheme != "local":
        raise ChannelLayerUnavailable(f"{url} is for servers: a program uses that layer itself")
    if not parts.path:
        raise ChannelLayerUnavailable(
            "local:// reaches the workers of one master only: give the server and this program the same "
            "local:///path, or a redis:// URL"
        )
    return LocalCarrier(parts.path)


class _ProgramOffice:
    """The office of a program."""

    def __init__(self, carrier: Carrier, url: str) -> None:
        self.url: Final = url
        self._carrier = carrier
        self._last: asyncio.Task[None] | None = None
        self._histories: Final = HistorySettings()

    def add(self, group: str, member: str, joining: Joining = PLAIN) -> Awaitable[Any]:
        """Make a reply channel a member of a group."""
        history = self._histories.setting_of(group, joining.history)
        return self._do(ADD, member, packed(group, joining.with_history(group, history)), 0.0)

    def discard(self, group: str, member: str) -> Awaitable[Any]:
        """Make it a member no more."""
        return self._do(DISCARD, member, group, 0.0)

    def publish(
        self, group: str, content: dict[str, Any], immediately: bool, history: History | None = None
    ) -> Awaitable[Any]:
        """Send to all members of a group."""
        history = self._histories.setting_of(group, history)
        if history is not None:
            return self._do(KEEP, group, [content, *history], 0.0)
        return self._do(PUBLISH, group, content, 0.0)

    def put(self, channel: str, content: dict[str, Any], immediately: bool, delay: float) -> Awaitable[Any]:
        """Send to a channel, or to a reply channel."""
        return self._do(SEND, channel, content, delay)

    def members(self, group: str) -> Any:
        """Refuse. Raises: NotImplementedError."""
        raise NotImplementedError("who is in a group only workers can tell: keep it in a database or a cache")

    def _do(self, kind: str, name: str, content: Any, delay: float) -> Awaitable[Any]:
        call = partial(self._carrier.carry, kind, name, content, delay)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            call()
            return DONE
        before = self._last if self._last is not None and self._last.get_loop() is loop else None
        self._last = loop.create_task(_carry_after(before, loop, call))
        return Handover(self._last, lambda error: _log.warning("A message could not be sent: %s", error))


async def _carry_after(
    before: asyncio.Task[None] | None, loop: asyncio.AbstractEventLoop, call: Callable[[], None]
) -> None:
    if before is not None and not before.done():
        await asyncio.wait([before])  # in order
    await loop.run_in_executor(None, call)
