"""The groups of a layer of Channels 4 that this process is in: those that it has members of, and one of its own.

A membership there ends after `group_expiry`, whoever still listens, and is lost with the layer's server. So they are
renewed three times as often, and when the layer can be reached again. Loop thread only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from uvicorn.layers.django_calls import SECONDS, Calls
from uvicorn.layers.ending import end_all, within
from uvicorn.layers.log import Log

__all__ = ["Memberships"]

_EXPIRY: Final = 86400.0  # seconds of a membership, where the layer does not say it
_AGAIN_SECONDS: Final = 1.0


class Memberships:
    """What this process has in such a layer.

    Args:
        name: how the layer is called in the log.
        own: the group in which others find this process.
        on_gap: called when the layer can be reached again: nobody knows what was missed.

    Attributes:
        channel: our own, for what is sent to our groups; None until the layer could be reached.
    """

    def __init__(self, name: str, other: Any, calls: Calls, own: str, log: Log, on_gap: Callable[[], object]) -> None:
        self.channel: str | None = None
        self._name = name
        self._other = other
        self._calls = calls
        self._own = own
        self._log = log
        self._on_gap = on_gap
        self._loop = asyncio.get_running_loop()
        self._groups = {own}
        self._renewed_at = 0.0  # loop time
        self._renewing: asyncio.Task[None] | None = None
        self._is_down = False

    async def enter(self) -> None:
        """Have a channel, and be in the groups. Raises: what the layer raises."""
        self.channel = await within(SECONDS, self._other.new_channel("uvicorn"))
        self._renewed_at = self._loop.time()
        try:
            await self._add_all()
        except BaseException:
            self.channel = None
            raise

    async def leave(self) -> None:
        """Be in the group of our own no more."""
        if self._renewing is not None:
            await end_all([self._renewing])
        if self.channel is not None:
            try:
                await within(SECONDS, self._other.group_discard(self._own, self.channel))
            except Exception as error:
                self._log.warning("%s: %s", self._name, error)

    def tick(self) -> None:
        """Renew the memberships when it is time."""
        expiry = getattr(self._other, "group_expiry", None) or _EXPIRY
        seconds = _AGAIN_SECONDS if self._is_down else expiry / 3
        if self.channel is not None and self._renewing is None and self._loop.time() - self._renewed_at >= seconds:
            self._renewing = self._loop.create_task(self._renew())

    def add(self, group: str) -> Awaitable[Any]:
        """Be in a group; one that cannot be entered now is entered when the layer can be reached."""
        self._groups.add(group)
        return self._calls.do_once(group, partial(self._be_where_wanted, group))

    def discard(self, group: str) -> None:
        """Be in it no more."""
        self._groups.discard(group)
        self._calls.do_once(group, partial(self._be_where_wanted, group))

    def on_failed(self, error: Exception) -> None:
        """The layer has failed: that is told once."""
        if not self._is_down:
            self._is_down = True
            text = str(error) or type(error).__name__
            self._log.error("The channel layer %s cannot be reached: %s", self._name, text)

    async def _renew(self) -> None:
        self._renewed_at = self._loop.time()
        try:
            await self._add_all()
        except Exception as error:
            self.on_failed(error)
        finally:
            self._renewing = None

    async def _add_all(self) -> None:
        for group in tuple(self._groups):
            with suppress(TypeError, ValueError, AssertionError):  # a name that it does not take, which was told
                await self._calls.do(group, partial(self._add, group))
        if self._is_down:
            self._is_down = False
            self._log.warning("The channel layer %s can be reached again", self._name)
            self._on_gap()

    async def _be_where_wanted(self, group: str) -> None:
        await (self._add if group in self._groups else self._discard)(group)

    async def _add(self, group: str) -> None:
        if self.channel is None:
            raise ConnectionError("it was not there when this process came")
        if group in self._groups:  # it was not left meanwhile
            await self._other.group_add(group, self.channel)

    async def _discard(self, group: str) -> None:
        if self.channel is not None and group not in self._groups:
            await self._other.group_discard(group, self.channel)
