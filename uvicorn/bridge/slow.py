"""Tell of consumers that run for long, with their stacks, and when they have ended. Loop thread only.

Theory of operation
-------------------
Once a second what runs is looked at: jobs in threads, and tasks of requests. A call is *slow* when it gave no sign of
life for `seconds`: it was called, it sent a part of its reply, or it waits in a channel of ours. What is declared long
(`runs_long`) is never slow, nor is a coroutine whose response has begun: event streams and long answers wait there for
what they send. Sockets' coroutines are left alone, as they wait for their clients.

Each call is told once, and once more when it is over. Of one consumer one call is told in a look with its stack; the
others are counted. A call is known by numbers alone: the watch keeps nothing alive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final, NamedTuple

from uvicorn.bridge.dispatcher import Dispatcher
from uvicorn.bridge.outbox import Log
from uvicorn.bridge.slots import TAKING
from uvicorn.bridge.stacks import thread_name
from uvicorn.bridge.suspects import Suspect, suspect_in_thread, suspect_of

__all__ = ["SlowWatch"]


class _Told(NamedTuple):
    """A call that was told."""

    name: str
    request: str
    since: float


class _Running(NamedTuple):
    """A call that runs."""

    key: tuple[object, ...]
    name: str
    since: float  # monotonic time of its last sign of life
    where: str
    suspect: Callable[[], Suspect | None]


class SlowWatch:
    """What looks after the calls.

    Args:
        clock: monotonic time, seconds.
        seconds: from when on a call is slow; 0 for never.

    Attributes:
        found: how many were slow.
    """

    def __init__(self, dispatcher: Dispatcher, clock: Callable[[], float], log: Log, seconds: float) -> None:
        self.found = 0
        self._dispatcher: Final = dispatcher
        self._clock = clock
        self._log = log
        self._seconds = seconds
        self._told: dict[tuple[object, ...], _Told] = {}

    def tick(self) -> None:
        """Look at all that runs, once a second."""
        if self._seconds <= 0:
            return
        now = self._clock()
        running = {call.key: call for call in (*self._jobs(now), *self._tasks())}
        for key in [key for key in self._told if key not in running]:
            told = self._told.pop(key)
            self._log.warning(
                "%s has ended, after %.0f seconds%s",
                told.name,
                now - told.since,
                f": {told.request}" if told.request else "",
            )
        slow = [call for call in running.values() if call.key not in self._told and now - call.since >= self._seconds]
        self._tell(slow, now)

    def _tell(self, slow: Iterable[_Running], now: float) -> None:
        by_name: dict[str, list[_Running]] = {}
        for call in slow:
            by_name.setdefault(call.name, []).append(call)
        for name, calls in by_name.items():
            for number, call in enumerate(calls):
                suspect = call.suspect()
                if suspect is None:  # it has just ended
                    continue
                self.found += 1
                self._told[call.key] = _Told(name, suspect.request, call.since)
                if number:
                    continue
                self._log.warning(
                    "%s is slow: %s, for %.0f seconds %s, at %s%s\n%s",
                    name,
                    suspect.request or "no request",
                    now - call.since,
                    call.where,
                    suspect.line,
                    f"; and {len(calls) - 1} more calls of it" if len(calls) > 1 else "",
                    suspect.stack,
                )

    def _jobs(self, now: float) -> Iterator[_Running]:
        pools = self._dispatcher.all_pools
        for pool in pools:
            for slot in pool.slots():
                job: Any = slot.job
                began = getattr(job, "started_at", 0.0)
                if job is None or job is TAKING or not began or getattr(job, "is_long", False):
                    continue
                exchange: Any = getattr(job, "exchange", None)
                since = now if job.is_waiting else max(began, getattr(exchange, "active_at", began))
                name = str(getattr(exchange, "consumer_name", getattr(job, "name", "a function")))
                thread = slot.thread_id
                yield _Running(
                    (id(slot), began),
                    name,
                    since,
                    f"in thread {thread_name(thread)}",
                    partial(suspect_in_thread, thread, pools),
                )

    def _tasks(self) -> Iterator[_Running]:
        for served, task in tuple(self._dispatcher.running.requests.items()):
            status: int = getattr(served, "status", 0)
            if status:
                continue
            if getattr(getattr(served, "consumer", None), "is_long", False):
                continue
            yield _Running(
                (id(task), served.started_at),
                served.consumer_name,
                served.started_at,
                "on the loop",
                partial(suspect_of, served, task),
            )
