"""One call of a lease: made and settled on the loop, run in its host's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, Protocol

from uvicorn.bridge.costs import Cost, cost_of
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.thread_call import settable
from uvicorn.bridge.work import Work
from uvicorn.errors import ChannelFull

__all__ = ["Guest", "LeaseCall"]


class Guest(Protocol):
    """What a host needs of a lease."""

    host: Any
    latest: LeaseCall | None
    is_bound: bool

    @property
    def outbox(self) -> Outbox:
        """The way back to the loop."""

    @property
    def work(self) -> Work | None:
        """The request that it is for."""

    @property
    def is_lasting(self) -> bool:
        """Whether it never has a host for itself."""

    @property
    def is_moved(self) -> bool:
        """Whether it has begun in another thread."""

    def refuse(self) -> None:
        """No thread became free in time. Runs on: the loop."""

    def detach(self) -> None:
        """Forget the host: it was sent away, and kept nothing. Runs on: the loop."""

    def look_around(self) -> None:
        """Look at what belongs to the thread. Runs on: that thread."""


class LeaseCall:
    """One call of a lease."""

    __slots__ = (
        "_turn", "began", "cost", "deferred_at", "ended", "error", "future", "lease", "result", "run", "since",
    )  # fmt: skip

    def __init__(self, lease: Guest, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self.lease = lease
        self.cost: Cost = cost_of(function, args)
        self.future: asyncio.Future[Any] = lease.outbox.loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None
        self.began = self.ended = 0.0
        self.run: Callable[[], Any] = partial(function, *args, **kwargs)
        self.since = self.deferred_at = monotonic()
        self._turn = [True]

    @property
    def has_begun(self) -> bool:
        """Whether it is in its thread's hands, or ended. Any thread."""
        return not self._turn

    @property
    def is_opening(self) -> bool:
        """Whether it is short, and says nothing of what its request wants the thread for."""
        return self.cost.is_passing and self.cost.load.is_short

    def claim(self) -> bool:
        """Whether the caller is the one that may end the call: its thread, or the loop that refuses it. Any thread."""
        try:
            return self._turn.pop() and not self.future.cancelled()
        except IndexError:
            return False

    def fail(self, error: Exception | None = None) -> bool:
        """End the call with ChannelFull, or another error, if it has not begun; return whether that was so.

        Runs on: the loop.
        """
        is_ours = self.claim()
        if is_ours:
            self.future.set_exception(error or ChannelFull("no thread became free in time"))
        return is_ours

    def settle(self, _: object = None) -> None:
        """Tell how the call has ended. Runs on: the loop."""
        work, wait, run = self.lease.work, self.began - self.since, self.ended - self.began
        self.cost.tally.add(wait, run)
        if work is not None:
            work.hops += 1
            work.wait_seconds += wait
            work.run_seconds += run
        error, self.error = self.error, None  # or its traceback and the call would hold each other
        result, self.result = self.result, None
        if self.future.done():
            return  # nobody waits any more
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(settable(error))
