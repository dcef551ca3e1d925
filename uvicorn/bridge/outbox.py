"""The way back: from many threads to the one loop.

Theory of operation
-------------------
Any thread calls `put`; the loop thread alone drains. One item is one call: a function of
the loop's side and its argument. Items of one thread keep their order.

*One wake-up per burst.* `put` appends first and then looks at `_is_woken`. The drain
clears `_is_woken` first and then looks at the length of the queue. So an item that was
appended while the flag was still up is seen by the drain that the flag announced, and
an item appended later finds the flag down and wakes the loop: no wake-up can be lost. Two
threads may both find the flag down; that costs a second, empty drain and nothing else.

*Bounded.* A drain handles what was there when it began, and at most `_MOST_PER_TURN` items.
What is left goes to the loop's next turn, so that busy threads cannot starve the sockets.
Counted on janus 2.0: its asynchronous getter makes one wake-up and one task per item, and an
unbounded drain swallowed 16,000 items in one callback; hence this queue of our own. The
queue itself is bounded by its producers: one complete reply for each request in the pool,
and the window of each stream (`channels.py`).

*Timed, if somebody asks.* While there are `timers`, a wake-up carries its time: it tells how long the loop waited for
its turn.

*In isolation.* A call that raises is logged and the next one is made: one connection in a
bad state cannot strand the replies of all others.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Callable
from threading import get_ident, get_native_id
from time import monotonic
from typing import Any, Final, Protocol

from uvicorn.bridge.directory import Directory

__all__ = ["Log", "Outbox"]

_MOST_PER_TURN: Final = 256  # arbitrary: about a millisecond of small replies


class Log(Protocol):
    """What we use of Gunicorn's logger."""

    def debug(self, msg: str, *args: Any, **kwargs: Any) -> None: ...
    def info(self, msg: str, *args: Any, **kwargs: Any) -> None: ...
    def warning(self, msg: str, *args: Any, **kwargs: Any) -> None: ...
    def error(self, msg: str, *args: Any, **kwargs: Any) -> None: ...


class Outbox:
    """The way of calls from worker threads to the loop.

    Args:
        loop: the loop that drains; this must be its thread.
        log: where a call that raised is reported.

    Attributes:
        directory: names the reply channels that lead back here.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, log: Log | None = None) -> None:
        self.loop: Final = loop
        self.loop_thread: Final = get_ident()
        self.directory: Final = Directory()
        self.loop_native_id: Final = get_native_id()  # by which the system knows it
        self._log: Log = log or logging.getLogger("gunicorn.error")
        self._items: deque[tuple[Callable[[Any], object], Any]] = deque()
        self._is_woken = False
        self.is_untimed = False  # threads let the loop pass (`pause.py`), and its lag would tell nothing; any thread
        self.timers = 0  # how many want wake-ups timed; loop only, as are the next two
        self.lag_seconds = 0.0  # from wake-up to turn, added up over all timed wake-ups
        self.timed_wake_ups = 0
        self._woken_at = 0.0  # time.monotonic(); 0 for a wake-up that is not timed
        self._context = contextvars.copy_context()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, function: Callable[[Any], object], argument: Any = None) -> None:
        """Have the loop call `function(argument)` soon.

        Runs on: any thread. Blocks: never. After the loop has closed the call is dropped.
        """
        self._items.append((function, argument))
        if not self._is_woken:
            if self.timers and not self.is_untimed:
                self._woken_at = monotonic()
            self._is_woken = True
            try:
                # In the loop's own context: the current one is that of the consumer that replies.
                self.loop.call_soon_threadsafe(self._drain, context=self._context)
            except RuntimeError:  # the loop is closed: nobody is left to answer
                self._items.clear()
                self._is_woken = False

    def drain_now(self) -> None:
        """Make the calls that wait now, so that a reply sent on the loop cannot overtake them.

        Runs on: the loop.
        """
        self._run(len(self._items))

    def _drain(self) -> None:
        self._is_woken = False
        if self._woken_at:
            self.lag_seconds += monotonic() - self._woken_at
            self.timed_wake_ups += 1
            self._woken_at = 0.0
        self._run(min(len(self._items), _MOST_PER_TURN))
        if self._items and not self._is_woken:
            self._is_woken = True
            self.loop.call_soon(self._drain)

    def _run(self, count: int) -> None:
        items = self._items
        for _ in range(count):
            if not items:  # a call drained the rest itself
                return
            function, argument = items.popleft()
            try:
                function(argument)
            except Exception:
                self._log.error("Error handling %s from a thread", _name_of(function), exc_info=True)


def _name_of(function: Callable[..., object]) -> str:
    return getattr(function, "__qualname__", repr(function))
