"""The jobs that wait for a thread, and which of them may run.

Theory of operation
-------------------
`queue` has the jobs in the order of their submission. While there is no limit, threads take from it with a plain
`popleft`, and nothing else here is used.

While there is a limit (`is_limited`), a job may run if it is light, or if the weights of the jobs that run add up to
less than the limit: so one job may always run. Whoever chooses holds `_choosing`, puts the jobs at the head of the
queue that may not run into `held`, and finds one that may; those in `held` go first. What runs is what the slots say,
and a thread that chooses writes its slot before it gives the lock back: so two that choose at once cannot pass the
limit together. A job that waits in one of our channels does not compute and does not count.

*No job is left behind.* A job becomes ready when it is submitted, when another one ends, when the limit rises, or when
a running job begins to wait in a channel or turns out to weigh less. The first is seen by the submitter; the second by
the thread that ran the other one, which chooses again; the third by who raised the limit; the others by whoever chooses
next, at the latest by the sampler, which looks each 10 ms while anything is held. Each of them wakes a thread, and a
thread parks before it looks a last time (`pool.py`).
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Final, Protocol

from uvicorn.bridge.governor import Load

__all__ = ["TAKING", "Backlog", "Job", "Slot"]


class Job(Protocol):
    """One call of a synchronous consumer."""

    submitted_at: float  # time.monotonic()
    is_waiting: bool  # blocked in one of our channels; written by the job's thread

    @property
    def load(self) -> Load:
        """What such a call costs."""

    def run(self) -> None:
        """Do the work. Must not raise. Runs on: a worker thread."""

    def expire(self) -> None:
        """Learn that no thread became free in time. Runs on: the loop."""


class Slot:
    """One drain: the thread that runs it, and the job that it runs just now."""

    __slots__ = ("job", "lock", "stuck", "thread_id")

    def __init__(self, thread_id: int) -> None:
        self.job: Job | None = None
        self.stuck: Job | None = None  # a job that does not come back; written by the loop, and true while it is `job`
        self.thread_id = thread_id
        self.lock = threading.Lock()  # held while the drain works; released to unpark it
        self.lock.acquire()


class _Taking:
    """Stand in a slot for the job that its drain is about to take: or it would be in nobody's hands for a moment."""

    submitted_at = 0.0
    is_waiting = True  # it computes nothing
    load: Final = Load()

    def run(self) -> None:
        """Do nothing: it is never run."""

    def expire(self) -> None:
        """Do nothing: it is never queued."""


TAKING: Final = _Taking()


class Backlog:
    """Keep jobs until they may run.

    Args:
        slots: what runs; the pool adds to it.
        most: the limit that is none.

    Attributes:
        limit: on the sum of the weights of the jobs that run. Written by the loop.
    """

    def __init__(self, slots: list[Slot], most: int) -> None:
        self.queue: deque[Job] = deque()
        self.held: deque[Job] = deque()
        self.limit: float = most
        self.is_limited = False
        self._slots = slots
        self._most = most
        self._choosing = threading.Lock()  # never held while a job runs

    def __len__(self) -> int:
        return len(self.queue) + len(self.held)

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

    def has_ready(self) -> bool:
        """Whether a job waits that may run. Runs on: any thread."""
        if not self.is_limited:
            return bool(self.queue)
        with self._choosing:
            return self._find()

    def choose(self, slot: Slot) -> bool:
        """Put a job that may run into the slot, or None; return whether there is another. Runs on: a worker thread."""
        with self._choosing:
            job: Job | None = None
            if self._find():
                try:
                    job = (self.held if self._has_room_for_held() else self.queue).popleft()
                except IndexError:  # taken by a thread that began to look before there was a limit
                    pass
            slot.job = job
            return job is not None and self._find()

    def set_limit(self, limit: float) -> bool:
        """Change the limit; return whether a job may run now that was held. Runs on: the loop."""
        with self._choosing:
            self.limit = limit
            self.is_limited = limit < self._most or bool(self.held)
            return bool(self.held) and self._find()

    def remove(self, job: Job) -> bool:
        """Take a job back; return False if a thread has it. Runs on: the loop."""
        with self._choosing:
            for jobs in (self.queue, self.held):
                try:
                    jobs.remove(job)
                except ValueError:
                    continue
                return True
        return False

    def expire(self, before: float) -> list[Job]:
        """Take back the jobs that were submitted before this time (time.monotonic()). Runs on: the loop."""
        with self._choosing:
            return [job for jobs in (self.held, self.queue) for job in _expired(jobs, before)]

    def clear(self) -> None:
        """Drop all jobs. Runs on: the loop."""
        with self._choosing:
            self.queue.clear()
            self.held.clear()

    def _has_room_for_held(self) -> bool:
        return bool(self.held) and self.weight < self.limit

    def _find(self) -> bool:
        """Whether a job may run: the first one held, or, when this returns, the first of the queue."""
        if self._has_room_for_held():
            return True
        has_room: bool | None = False if self.held else None  # for light jobs the weights are not added up
        while True:
            try:
                if self.queue[0].load.is_light:
                    return True
                if has_room is None:
                    has_room = self.weight < self.limit
                if has_room:
                    return True
                self.held.append(self.queue.popleft())
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
