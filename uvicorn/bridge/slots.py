"""What a pool runs, and what it knows of each of its threads: jobs, and the slot of a drain."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final, Protocol

from uvicorn.bridge.governor import Load

__all__ = ["TAKING", "Asking", "Job", "Slot"]


class Job(Protocol):
    """One call of a synchronous consumer."""

    submitted_at: float  # time.monotonic()
    is_waiting: bool  # blocked in one of our channels; written by the job's thread

    @property
    def load(self) -> Load:
        """What such a call costs."""

    def run(self) -> object:
        """Do the work. Must not raise. Runs on: a worker thread.

        Returns: True if it has called `ConsumerPool.about_to_look`.
        """

    def expire(self) -> None:
        """Give up: no thread became free in time. Runs on: the loop."""


class Asking(Protocol):
    """A job that runs, and asks whether it may compute."""

    submitted_at: float
    is_waiting: bool

    @property
    def load(self) -> Load:
        """What it is going to compute."""

    def grant(self) -> None:
        """Take the permission; from now on it counts. The caller holds our lock. Runs on: any thread."""


class Slot:
    """One drain: the thread that runs it, and the job that it runs just now.

    Attributes:
        pinned: jobs for this thread and no other; they go before all that are queued.
    """

    __slots__ = ("clock", "job", "lock", "pinned", "stuck", "thread_id")

    def __init__(self, thread_id: int) -> None:
        # Of its processor time, for `time.clock_gettime`; None where there is none.
        self.clock = _cpu_clock_of(thread_id)
        self.job: Job | None = None
        self.pinned: deque[Job] = deque()
        self.stuck: Job | None = None  # a job that does not come back; written by the loop, and true while it is `job`
        self.thread_id = thread_id
        self.lock = threading.Lock()  # held while the drain works; released to unpark it
        self.lock.acquire()


class _Taking:
    """What stands in a slot for the job that its drain is about to take: it is always in somebody's hands."""

    submitted_at = 0.0
    is_waiting = True  # it computes nothing
    load: Final = Load()

    def run(self) -> None:
        """Do nothing: it is never run."""

    def expire(self) -> None:
        """Do nothing: it is never queued."""


TAKING: Final = _Taking()


def _cpu_clock_of(thread_id: int) -> int | None:
    """Return the clock of a thread's processor time, to be read from any thread. Runs on: that thread."""
    try:
        return time.pthread_getcpuclockid(thread_id)
    except (AttributeError, OSError):  # not on this system
        return None
