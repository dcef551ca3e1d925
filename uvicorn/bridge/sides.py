"""The sides from which groups and channels are used: the loop, a thread that may wait, a consumer that is deferred.

Theory of operation
-------------------
The loop alone knows groups. Code on the loop calls it directly. A thread hands a coroutine over and waits for it
(`run_on_loop`), so that an error is raised on its own line. A synchronous consumer *defers*: what it sends is kept with
its job, and when it has returned its thread hands all of it over, in order, behind nothing but its own replies. If it
raises, that is dropped.

*Bounded.* A call keeps at most `_MOST_KEPT`. What was handed over and is not yet sent is counted by the loop
(`is_crowded`); while it is too much, the thread waits for it, so that consumers cannot be faster than what carries
their messages.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from threading import get_ident
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from uvicorn.bridge.crossing import Crossing, current_job
from uvicorn.bridge.jobs import CallJob
from uvicorn.bridge.visits import run_on
from uvicorn.errors import ChannelFull

__all__ = ["Call", "Carried", "Sides", "drop_deferred"]

_MOST_KEPT: Final = 10_000  # calls of one consumer; arbitrary

_T = TypeVar("_T")
#: sends one message; called on the loop
Call: TypeAlias = "Callable[[], object]"


class Carried(Protocol):
    """What takes deferred messages. All but `is_crowded` runs on: the loop."""

    is_crowded: bool  # read by any thread: more is under way than there should be

    def carry(self, calls: list[Call]) -> None:
        """Make these calls in order; what fails is tried again, and then logged."""

    async def carry_slowly(self, calls: list[Call]) -> None:
        """Wait until there is room, and make these calls."""


class Sides:
    """Where a call comes from, in a worker.

    Args:
        crossing: the way from a thread to the loop.
        carried: what takes deferred messages.
    """

    def __init__(self, crossing: Crossing, carried: Carried) -> None:
        self._crossing = crossing
        self._carried = carried

    @property
    def is_loop(self) -> bool:
        """Whether the caller is on the loop. Runs on: any thread."""
        return get_ident() == self._crossing.outbox.loop_thread

    def wait_for(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on the loop. Runs on: any thread but the loop's. Blocks: until it has ended."""
        return run_on(self._crossing, coroutine)

    def defer(self, call: Call) -> bool:
        """Have the loop make a call when the consumer has returned that this thread runs; return False if none defers.

        Raises: ChannelFull when the consumer has sent far too much. Runs on: any thread. Blocks: never.
        """
        job = self._crossing.current_job()
        if not isinstance(job, CallJob) or not job.defers:
            return False
        later = job.later
        if later is None:
            later = job.later = _Kept(self._crossing, self._carried)
        assert isinstance(later, _Kept)
        later.add(call)
        return True


def drop_deferred() -> None:
    """Drop what the consumer that this thread runs has sent until now: it is called once more. Runs on: any thread."""
    job = current_job()
    if isinstance(job, CallJob):
        job.later = None


class _Kept:
    """What one consumer has sent, until it has returned."""

    def __init__(self, crossing: Crossing, carried: Carried) -> None:
        self._crossing = crossing
        self._carried = carried
        self._calls: list[Call] = []

    def add(self, call: Call) -> None:
        if len(self._calls) >= _MOST_KEPT:
            raise ChannelFull(
                f"a consumer can send {_MOST_KEPT} messages to groups and channels before it returns; "
                "send others with immediately=True"
            )
        self._calls.append(call)

    def go(self) -> None:
        calls, self._calls = self._calls, []
        if self._carried.is_crowded:
            run_on(self._crossing, self._carried.carry_slowly(calls))
        else:
            self._crossing.outbox.put(self._carried.carry, calls)
