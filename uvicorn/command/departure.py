"""What a worker does when it is told to leave: at once, or when the one that was made in its place is ready.

Theory of operation
-------------------
Gunicorn's master makes new workers on HUP, and tells the old ones to leave in the same moment, long before the new ones
have imported the application. So a worker that is told to leave looks at the roll (`roll.py`). If one that was made
after it is starting, it goes on accepting, and looks again twenty times a second:

    somebody is starting still                it stays
    all have settled, and as many are ready   it leaves
    as leave before it, and one more
    all have settled, and too few are ready   it stays for good: the master counts it again

One that was made a moment ago and has failed already counts, too: the master told the old one to leave before it could
know. Nobody leaves before all have settled, so all see the same number of workers that want to leave, and the oldest
leave first. It leaves at once when the master stops, and when the bound has passed.

While it stays it is marked as leaving (`replacement.py`), so that the master counts the new workers alone, and tells it
no second time. The `uvicorn` command's master tells a worker to leave when the new ones are ready: it leaves at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Set
from typing import Any, Final

from uvicorn.command.replacement import mark_as_leaving, unmark
from uvicorn.command.roll import FAILED, LEAVING, READY, STARTING, STAYING, Entry, Standing

__all__ = ["LEAVE", "STAY", "WAIT", "Departure", "verdict"]

_LOOK_SECONDS: Final = 0.05
_RECENT_SECONDS: Final = 5.0  # arbitrary: from the fork of a new worker until a busy loop sees the signal of the master

LEAVE: Final = "leave"
STAY: Final = "stay"
WAIT: Final = "wait"


class Departure:
    """The leave of one worker. Loop thread only.

    Args:
        worker: Gunicorn's: `tmp` and `notify` are used.
        entry: the worker's place on the roll; None if it has none.
        bound: seconds for which it waits for the new ones.
        leave: begins the worker's stop.
        stay: the new ones could not start; called with the reason.

    Attributes:
        is_waiting: it was told to leave, and accepts until another one is ready.
    """

    def __init__(
        self,
        worker: Any,
        entry: Entry | None,
        loop: asyncio.AbstractEventLoop,
        log: Any,
        bound: float,
        leave: Callable[[], None],
        stay: Callable[[], None],
    ) -> None:
        self.is_waiting = False
        self._worker = worker
        self._entry = entry
        self._loop = loop
        self._log = log
        self._bound = bound
        self._leave = leave
        self._stay = stay
        self._expected: set[int] = set()  # numbers of those that were starting at a look
        self._leaving: set[int] = set()  # of those that wait, as this one does
        self._end = 0.0
        self._since = time.monotonic()  # who was made before is none that was made in place of this one

    def begin(self) -> None:
        """The worker was told to leave; perhaps not for the first time."""
        entry = self._entry
        if self.is_waiting:
            return
        if entry is None or entry.roll.is_stopping or entry.roll.is_orderly:
            self._leave()
            return
        if not self._look(entry):
            just_made = self._just_made(entry)
            if just_made and verdict(just_made, self._before(entry, just_made)) == STAY:
                self._remain(just_made)
            else:
                self._leave()
            return
        self.is_waiting = True
        self._end = self._loop.time() + self._bound
        entry.tell(STAYING)
        mark_as_leaving(self._worker)
        self._log.info("The worker leaves when the new ones are ready (pid: %s)", self._worker.pid)
        self._loop.call_later(_LOOK_SECONDS, self._turn, entry)

    def _look(self, entry: Entry) -> list[Standing]:
        """Return the workers that were made after this one and are, or were, starting."""
        own, everybody = entry.standing.number, entry.roll.read_all()
        self._expected |= {each.number for each in everybody if each.number > own and is_starting(each)}
        expected = [each for each in everybody if each.number in self._expected]
        if any(is_starting(each) for each in expected):
            self._leaving |= {each.number for each in everybody if each.state == STAYING and each.number not in
                              self._expected}  # fmt: skip
        return expected

    def _just_made(self, entry: Entry) -> list[Standing]:
        """Return the workers that were made a moment ago, while this one served; none of them is starting still."""
        own, since = entry.standing.number, max(self._since, time.monotonic() - _RECENT_SECONDS)
        return [each for each in entry.roll.read_all() if each.number > own and each.made_at >= since]

    def _before(self, entry: Entry, just_made: Iterable[Standing]) -> int:
        """Return how many others leave first, for whom new workers are ready. None of them waits, so nobody can see it.

        If some have failed, it is all older ones, as on HUP. Was this one told alone, the master tells it again.
        """
        if all(each.state == READY and each.is_there for each in just_made):
            return 0
        own = entry.standing.number
        older = [each for each in entry.roll.read_all() if each.number < own]
        return sum(each.state == LEAVING or (each.state in (READY, STAYING) and each.is_there) for each in older)

    def _remain(self, failed: Iterable[Standing]) -> None:
        """Go on: the new workers could not start."""
        self._log.error(
            "The new worker could not start: %s; the old one stays (pid: %s)", reason_of(failed), self._worker.pid
        )
        self._stay()

    def _turn(self, entry: Entry) -> None:
        if not self._worker.alive:
            return  # something else has stopped it
        expected = self._look(entry)
        own = entry.standing.number
        decision = verdict(expected, sum(number < own for number in self._leaving))
        if entry.roll.is_stopping:
            decision = LEAVE
        elif decision == WAIT and self._loop.time() >= self._end:
            self._log.warning(
                "The new workers were not ready within %.0f seconds: the worker leaves (pid: %s)",
                self._bound,
                self._worker.pid,
            )
            decision = LEAVE
        if decision == WAIT:
            self._loop.call_later(_LOOK_SECONDS, self._turn, entry)
            return
        self.is_waiting = False
        if decision == LEAVE:
            self._leave()
            return
        self._expected, self._leaving = set(), set()
        unmark(self._worker)
        entry.tell(READY)
        self._remain(expected)


def is_starting(standing: Standing) -> bool:
    """Whether a worker is on its way to be ready."""
    return standing.state == STARTING and standing.is_there


def verdict(expected: Iterable[Standing], before: int) -> str:
    """Return whether a worker that was told to leave does so.

    Args:
        expected: the workers that were made after it, those that have gone, too.
        before: how many others were told to leave, and go first.
    """
    ready = 0
    states: Set[int] = set()
    for each in expected:
        if is_starting(each):
            return WAIT
        ready += each.state in (READY, STAYING) and each.is_there
        states |= {each.state}
    if ready > before:
        return LEAVE
    # Told to leave while they were starting: by a master that stops, and has not said so on the roll.
    return STAY if ready or not states or states - {LEAVING} else LEAVE


def reason_of(expected: Iterable[Standing]) -> str:
    """Return why they could not start, as far as one has said it."""
    said = next((each.reason for each in expected if each.state == FAILED and each.reason), "")
    return said or "it has ended without a word"
