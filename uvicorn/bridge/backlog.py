"""The jobs that wait for a thread, and which of them may run.

Theory of operation
-------------------
`queue` has the jobs in the order of their submission. While there is no limit, and nothing else here was used, threads
take from it with a plain `popleft`.

*Short calls first.* A job whose calls are known to be short (`Load.is_short`) and that would have to wait behind one
that is not is put into `short`, which goes before `queue` unless the first job there is short itself, or has waited for
long already: so a short call does not queue behind long ones, these do not starve, and short ones keep their order.
*Late ones last.* `late` has what ranks behind requests; when the first one has waited for long, it goes before them
once (`take`).

While there is a limit (`is_limited`), a job may run if it is light, or if the weights of the jobs that run add up to
less than the limit: so one job may always run. Whoever chooses holds `_choosing`, puts the jobs at the head of the
queue that may not run into `held`, and finds one that may; those in `held` go first. What runs is what the slots say,
and a thread that chooses writes its slot before it gives the lock back: so two that choose at once cannot pass the
limit together. A job that waits in one of our channels does not compute and does not count.

*Permission.* A thread that has its job already may ask for the computing alone (`permit`), for each call of a lease.
Who does not get it at once waits in `asking`, beside those in `held`, and is told (`Asking.grant`) by whoever looks:
the one that came first of both goes first, if there is a thread for the one that is held.

*No job is left behind.* A job becomes ready when it is submitted, when another one ends, when the limit rises, or when
a running job begins to wait in a channel or turns out to weigh less. The first is seen by the submitter; the second by
the thread that ran the other one, which chooses again; the third by who raised the limit; the others by whoever
chooses next, at the latest by the sampler, which looks each 10 ms while anything is held. Each of them wakes a thread,
and a thread parks before it looks a last time (`pool.py`).
"""

from __future__ import annotations

import threading
from collections import deque
from time import monotonic
from typing import Final

from uvicorn.bridge.slots import Asking, Job, Slot

__all__ = ["Backlog"]

_LONG_SECONDS: Final = 0.25  # arbitrary: what has waited so long does not let short ones pass any more
_LATEST_SECONDS: Final = 2.0  # arbitrary: what ranks behind others waits no longer than that behind them


class Backlog:
    """The jobs that wait until they may run.

    Args:
        slots: what runs; the pool adds to it.
        most: the limit that is none.

    Attributes:
        limit: on the sum of the weights of the jobs that run. Written by the loop.
    """

    def __init__(self, slots: list[Slot], most: int) -> None:
        self.queue: deque[Job] = deque()
        self.held: deque[Job] = deque()
        self.asking: deque[tuple[float, Asking]] = deque()  # since when
        self.short: deque[Job] = deque()
        self.late: deque[Job] = deque()
        self.limit: float = most
        self.is_limited = False
        self._has_long = False  # there is one in `queue` that is not known to be short; loop only
        self._slots = slots
        self._most = most
        self._choosing = threading.Lock()  # never held while a job runs

    def __len__(self) -> int:
        return len(self.queue) + len(self.held) + len(self.short)

    @property
    def weight(self) -> float:
        """The sum of the weights of the jobs that run. Runs on: any thread."""
        total = 0.0
        for slot in tuple(self._slots):
            job = slot.job
            if job is not None and not job.is_waiting:
                load = job.load
                if not load.is_light:
                    total += load.weight
        return total

    def has_ready(self, has_thread: bool = True) -> bool:
        """Whether a job waits that may run; `has_thread` if there is a thread for it. Runs on: any thread."""
        if not self.is_limited:
            return bool(self.queue or self.short or self.late)
        with self._choosing:
            return self._find(has_thread) is not None

    def append(self, job: Job) -> None:
        """Queue a job that may have to wait. Runs on: the loop."""
        queue = self.queue
        if not job.load.is_short:
            self._has_long = True
            queue.append(job)
        elif self.short or (queue and self._has_long):
            self.short.append(job)
        else:
            self._has_long = False
            queue.append(job)

    def take(self) -> Job | None:
        """Take the next job, while there is no limit. Runs on: a worker thread."""
        for jobs in self._in_order():
            try:
                return jobs.popleft()
            except IndexError:
                continue
        return None

    def choose(self, slot: Slot) -> bool:
        """Put a job that may run into the slot, or None; return whether there is another. Runs on: a worker thread."""
        with self._choosing:
            job: Job | None = None
            jobs = self._find()
            if jobs is not None:
                try:
                    job = jobs.popleft()
                except IndexError:  # taken by a thread that began to look before there was a limit
                    pass
            slot.job = job
            return job is not None and self._find() is not None

    def set_limit(self, limit: float, has_thread: bool = True) -> bool:
        """Change the limit; return whether a job may run now that was held. Runs on: the loop."""
        with self._choosing:
            self.limit = limit
            self.is_limited = limit < self._most or bool(self.held) or bool(self.asking)
            return bool(self.held or self.asking) and self._find(has_thread) is not None

    def permit(self, job: Asking) -> bool:
        """Whether a job may compute now; otherwise it is told when it may. Runs on: its thread."""
        if not self.is_limited or job.load.is_light:
            job.is_waiting = False
            return True
        with self._choosing:
            if not self.held and not self.asking and self.weight < self.limit:
                job.is_waiting = False
                return True
            self.asking.append((monotonic(), job))
            return False

    def remove(self, job: Job) -> bool:
        """Take a job back; return False if a thread has it. Runs on: the loop."""
        with self._choosing:
            for jobs in (self.queue, self.held, self.short, self.late):
                try:
                    jobs.remove(job)
                except ValueError:
                    continue
                return True
        return False

    def expire(self, before: float) -> list[Job]:
        """Take back the jobs that were submitted before this time (time.monotonic()). Runs on: the loop."""
        with self._choosing:
            return [job for jobs in (self.held, self.queue, self.short) for job in _expired(jobs, before)]

    def put_back(self, jobs: list[Job]) -> None:
        """Queue jobs that were taken back before all others. Runs on: the loop."""
        with self._choosing:
            self.queue.extendleft(reversed(jobs))

    def clear(self) -> None:
        """Drop all jobs. Runs on: the loop."""
        with self._choosing:
            for jobs in (self.queue, self.held, self.short, self.late):
                jobs.clear()

    def first_held(self) -> object:
        """Return the next one of those that the limit keeps back, or None. Runs on: any thread."""
        for kept in (self.held, self.asking):
            try:
                return kept[0]
            except IndexError:
                continue
        return None

    def oldest(self) -> float:
        """Return when the first of those that are not late was submitted; 0.0 if none waits. Runs on: any thread."""
        times = []
        for jobs in (self.held, self.queue, self.short):
            try:
                times.append(jobs[0].submitted_at)
            except IndexError:
                continue
        return min(times, default=0.0)

    def waiting(self) -> list[Job]:
        """Return all that wait. Runs on: any thread."""
        with self._choosing:
            return [job for jobs in (self.held, self.queue, self.short, self.late) for job in jobs.copy()]

    def _in_order(self) -> tuple[deque[Job], ...]:
        """Return what to take from, first things first, but for those that are held."""
        now = monotonic()
        if _is_older(self.late, now - _LATEST_SECONDS):
            return self.late, self.short, self.queue
        if _is_older(self.queue, now - _LONG_SECONDS) or _is_first_short(self.queue):
            return self.queue, self.short, self.late
        return self.short, self.queue, self.late

    def _find(self, has_thread: bool = True) -> deque[Job] | None:
        """Return where a job is that may run, as the first one there, or None."""
        room = _Room(self)
        while self.asking and room.is_there:
            if has_thread and self.held and self.held[0].submitted_at < self.asking[0][0]:
                break
            self.asking.popleft()[1].grant()
            room = _Room(self)
        if self.held and room.is_there:
            return self.held
        for jobs in self._in_order() if self.short or self.late else (self.queue,):
            while True:
                try:
                    if jobs[0].load.is_light or (not self.held and not self.asking and room.is_there):
                        return jobs
                    if jobs is self.late:
                        break
                    self.held.append(jobs.popleft())
                except IndexError:
                    break
        return None


class _Room:
    """Whether one more job may compute: the weights are added up when that is asked for, and once."""

    __slots__ = ("_backlog", "_is_there")

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog
        self._is_there: bool | None = None

    @property
    def is_there(self) -> bool:
        if self._is_there is None:
            self._is_there = self._backlog.weight < self._backlog.limit
        return self._is_there


def _is_older(jobs: deque[Job], than: float) -> bool:
    try:
        return jobs[0].submitted_at < than
    except IndexError:
        return False


def _is_first_short(jobs: deque[Job]) -> bool:
    try:
        return jobs[0].load.is_short
    except IndexError:
        return False


def _expired(jobs: deque[Job], before: float) -> list[Job]:
    expired: list[Job] = []
    while True:
        try:
            job = jobs.popleft()
        except IndexError:  # a thread took the last one, or there is none
            return expired
        if job.submitted_at > before:
            jobs.appendleft(job)
            return expired
        expired.append(job)
