"""Messages that synchronous consumers have sent, on their way to the layer. Loop thread only.

They come when their consumer has returned (`carry`). What cannot be sent then is tried again for two seconds, as in
Channels 1, and logged. They are counted while they are under way: past a mark, consumers wait (`is_crowded`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from uvicorn.errors import ChannelFull, ChannelLayerUnavailable
from uvicorn.layers.handover import Done, wait_for

__all__ = ["DeferredMessages"]

_RETRY_SECONDS: Final = 2.0  # Channels 1
_RETRY_EVERY_SECONDS: Final = 0.05
_MOST_CARRIED: Final = 10_000  # under way; arbitrary
_WAIT_SECONDS: Final = 0.02  # between two looks of a consumer that waits for room


class Log(Protocol):
    """What we use of the worker's log."""

    def error(self, msg: str, *args: Any, **kwargs: Any) -> None: ...


class DeferredMessages:
    """The messages that are under way.

    Args:
        on_lost: called with the error of each that could not be sent in time.

    Attributes:
        is_crowded: more are under way than there should be. Read by any thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, log: Log, on_lost: Callable[[BaseException], None]) -> None:
        self.is_crowded = False
        self._loop = loop
        self._log = log
        self._on_lost = on_lost
        self._carried = 0

    def carry(self, calls: Iterable[Callable[[], object]]) -> None:
        """Make the calls of a consumer that has returned, in order; what fails is tried again, and then logged.

        In the loop's next turn: we may be called while a reply channel is about to send, which first has all go out
        that threads have sent before. To deliver another message to it then would have it wait for itself, and those
        behind it in the group get the two in the wrong order.
        """
        calls = list(calls)
        self._carried += len(calls)
        self.is_crowded = self._carried > _MOST_CARRIED
        self._loop.call_soon(self._carry, calls)

    async def carry_slowly(self, calls: Iterable[Callable[[], object]]) -> None:
        """Wait until there is room, and make these calls."""
        while self.is_crowded:  # noqa: ASYNC110 (hardly ever, and never for longer than the retries last)
            await asyncio.sleep(_WAIT_SECONDS)
        self.carry(calls)

    def _carry(self, calls: Iterable[Callable[[], object]]) -> None:
        for call in calls:
            self._attempt(call, self._loop.time() + _RETRY_SECONDS)

    def _attempt(self, call: Callable[[], object], until: float) -> None:
        try:
            handover = call()
        except Exception as error:
            self._failed(call, until, error)
            return
        if isinstance(handover, Done):
            self._settled()
            return
        task = self._loop.create_task(wait_for(handover))
        task.add_done_callback(lambda task: self._attempted(call, until, task))

    def _attempted(self, call: Callable[[], object], until: float, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            self._failed(call, 0.0, asyncio.CancelledError("the worker is stopping"))
        elif (error := task.exception()) is not None:
            self._failed(call, until, error)
        else:
            self._settled()

    def _failed(self, call: Callable[[], object], until: float, error: BaseException) -> None:
        may_pass = isinstance(error, (ChannelFull, ChannelLayerUnavailable))
        if may_pass and self._loop.time() < until and not getattr(error, "was_sent", False):  # or it could come twice
            self._loop.call_later(_RETRY_EVERY_SECONDS, self._attempt, call, until)
            return
        if may_pass:
            self._on_lost(error)
        else:
            name = type(error).__name__
            self._log.error("A message that a consumer has sent cannot be: %s: %s", name, error, exc_info=error)
        self._settled()

    def _settled(self) -> None:
        self._carried -= 1
        if self.is_crowded:
            self.is_crowded = self._carried > _MOST_CARRIED
