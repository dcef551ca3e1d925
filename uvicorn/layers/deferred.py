"""Messages that synchronous consumers have sent, on their way to the layer. Loop thread only.

They come when their consumer has returned (`carry`). What cannot be sent then is tried again for two seconds, as in
Channels 1, and logged. They are counted while they are under way: past a mark, consumers wait (`is_crowded`).

*In order.* While one message for a group or channel is tried again, those for the same one stand in a line behind it,
in the order in which they came. A layer that may take the second of two and not the first one
(`Layer.takes_in_order`) is given the messages of a channel one by one. But those that are tried no more go out at
once: a layer that is silent holds up the first one only. And those of the next consumer that were on their way before
anybody knew of the refusal may be taken: to wait for each answer would cost a way to the broker and back.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from uvicorn.errors import ChannelFull, ChannelLayerUnavailable
from uvicorn.layers.handover import Done, wait_for
from uvicorn.layers.log import Log

__all__ = ["QUEUE", "DeferredMessages", "Line", "Sending"]

QUEUE: Final = "queue"  # the kind of line of a channel that can be full

_RETRY_SECONDS: Final = 2.0  # Channels 1
_RETRY_EVERY_SECONDS: Final = 0.05
_MOST_CARRIED: Final = 10_000  # under way; arbitrary
_WAIT_SECONDS: Final = 0.02  # between two looks of a consumer that waits for room

#: the kind and the name of what messages are for: those with the same ones stay in order
Line: TypeAlias = "tuple[str, str]"


class Sending:
    """A call that sends a message.

    Args:
        line: None for one that need not be in order.
    """

    __slots__ = ("_call", "line")

    def __init__(self, call: Callable[[], object], line: Line | None) -> None:
        self._call = call
        self.line = line

    def __call__(self) -> object:
        """Send it."""
        return self._call()


class _Item:
    """One message that is under way, or waits."""

    __slots__ = ("call", "line", "number", "until")

    def __init__(self, call: Callable[[], object], line: Line | None, number: int, until: float) -> None:
        self.call = call
        self.line = line
        self.number = number
        self.until = until  # it is tried again

    def __lt__(self, other: _Item) -> bool:
        return self.number < other.number


class _Waiting:
    """The messages of one line that wait.

    Attributes:
        items: a heap: the first that was sent is the first.
        under_way: how many of the line are.
        is_refused: one was; all are tried again a little later.
    """

    __slots__ = ("is_refused", "items", "under_way")

    def __init__(self) -> None:
        self.items: list[_Item] = []
        self.under_way = 0
        self.is_refused = False


class DeferredMessages:
    """The messages that are under way.

    Args:
        on_lost: called with the error of each that could not be sent in time.
        takes_in_order: whether the layer does.

    Attributes:
        is_crowded: more are under way than there should be. Read by any thread.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        log: Log,
        on_lost: Callable[[BaseException], None],
        takes_in_order: bool = True,
    ) -> None:
        self.is_crowded = False
        self._loop = loop
        self._log = log
        self._on_lost = on_lost
        self._takes_in_order = takes_in_order
        self._carried = 0
        self._number = 0
        self._lines: dict[Line, _Waiting] = {}

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
        while self.is_crowded:  # noqa: ASYNC110 (hardly ever, and hardly longer than the retries last)
            await asyncio.sleep(_WAIT_SECONDS)
        self.carry(calls)

    async def stop(self) -> None:
        """Wait until all are handed over, as long as they are tried again; tell of those that could not be."""
        await asyncio.sleep(0)  # what consumers have sent goes out
        until = self._loop.time() + _RETRY_SECONDS
        while self._lines and self._loop.time() < until:  # noqa: ASYNC110 (at the stop, and hardly ever)
            await asyncio.sleep(_WAIT_SECONDS)
        left = 0
        for waiting in self._lines.values():
            left += len(waiting.items)
            waiting.items.clear()
        if left:
            self._log.warning("%d messages that consumers have sent are lost: the layer has not taken them", left)

    def _carry(self, calls: Iterable[Callable[[], object]]) -> None:
        until = self._loop.time() + _RETRY_SECONDS
        for call in calls:
            self._number += 1
            item = _Item(call, getattr(call, "line", None), self._number, until)
            waiting = None if item.line is None else self._lines.get(item.line)
            if waiting is None:
                self._attempt(item, None)
            else:
                heapq.heappush(waiting.items, item)

    def _attempt(self, item: _Item, waiting: _Waiting | None) -> None:
        try:
            handover = item.call()
        except Exception as error:
            self._failed(item, error)
            return
        if isinstance(handover, Done):
            self._settled()
            return
        if waiting is None and self._goes_alone(item):
            assert item.line is not None
            waiting = self._lines[item.line] = _Waiting()
        if waiting is not None:
            waiting.under_way += 1
        task = self._loop.create_task(wait_for(handover))
        task.add_done_callback(lambda task: self._attempted(item, waiting, task))

    def _goes_alone(self, item: _Item) -> bool:
        """Whether the next of its line waits until it is sent."""
        is_of_queue = item.line is not None and item.line[0] == QUEUE
        return is_of_queue and not self._takes_in_order and self._loop.time() < item.until

    def _attempted(self, item: _Item, waiting: _Waiting | None, task: asyncio.Task[None]) -> None:
        if waiting is not None:
            waiting.under_way -= 1
        if task.cancelled():
            item.until = 0.0
            self._failed(item, asyncio.CancelledError("the worker is stopping"))
        elif (error := task.exception()) is not None:
            self._failed(item, error)
        else:
            self._settled()
        if waiting is not None:
            assert item.line is not None
            self._go_on(item.line, waiting)

    def _failed(self, item: _Item, error: BaseException) -> None:
        may_pass = isinstance(error, (ChannelFull, ChannelLayerUnavailable))
        # One that may have been sent is not sent again: it could come twice.
        if may_pass and self._loop.time() < item.until and not getattr(error, "was_sent", False):
            self._again(item)
            return
        if may_pass:
            self._on_lost(error)
        else:
            to, name = f" to {item.line[1]}" if item.line else "", type(error).__name__
            self._log.error("A message that a consumer has sent%s cannot be: %s: %s", to, name, error, exc_info=error)
        self._settled()

    def _again(self, item: _Item) -> None:
        """Try it a little later, and those behind it after it."""
        if item.line is None:
            self._loop.call_later(_RETRY_EVERY_SECONDS, self._attempt, item, None)
            return
        waiting = self._lines.setdefault(item.line, _Waiting())
        heapq.heappush(waiting.items, item)
        if not waiting.is_refused:
            waiting.is_refused = True
            self._loop.call_later(_RETRY_EVERY_SECONDS, self._try_again, item.line, waiting)

    def _try_again(self, line: Line, waiting: _Waiting) -> None:
        waiting.is_refused = False
        self._go_on(line, waiting)

    def _go_on(self, line: Line, waiting: _Waiting) -> None:
        """Send what waits in a line, in order, unless something of it is under way, or was refused just now."""
        if waiting.under_way or waiting.is_refused:
            return
        while waiting.items:
            item = heapq.heappop(waiting.items)
            self._attempt(item, waiting)
            if waiting.is_refused or (waiting.under_way and self._goes_alone(item)):
                return
        if not waiting.under_way:
            del self._lines[line]

    def _settled(self) -> None:
        self._carried -= 1
        if self.is_crowded:
            self.is_crowded = self._carried > _MOST_CARRIED
