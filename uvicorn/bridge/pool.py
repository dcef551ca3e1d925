"""A bounded pool of threads behind a bounded queue: where synchronous consumers run.

Theory of operation
-------------------
The loop submits, cancels, expires and counts; threads only take jobs. What the parts are:

    backlog.py    the jobs that wait, and which of them may run: the governor may allow less to run at once than there
                  are threads
    drains.py     the threads: they are woken and started as jobs come, and park; why no wake-up is lost
    slots.py      what each thread runs just now

*Who owns a job.* `deque.popleft` and `deque.remove` are atomic: a job is either taken by a thread or
removed by the loop (client gone, waited too long), never both.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, Final

from uvicorn.bridge.backlog import Backlog
from uvicorn.bridge.drains import Drains
from uvicorn.bridge.outbox import Log
from uvicorn.bridge.pause import Pauses
from uvicorn.bridge.slots import Asking, Job, Slot

__all__ = ["ConsumerPool", "Job"]

_BUSY_THREADS: Final = 4  # arbitrary: with fewer at work, nobody is hurt


class ConsumerPool:
    """At most `threads` threads that run jobs, with at most `queue_size` waiting.

    Args:
        threads: the most threads; they are started as they are needed, and kept.
        queue_size: the most jobs that wait while all threads are busy; 0 for none.
        call_soon: calls a function at the end of the loop's turn.
        log: where a job that raises, which none may, is reported.
        name: the threads are called `<name>-1` and so on.
        idle_seconds: a thread that had nothing to do for so long ends; None to keep all.

    All methods run on: the loop, unless they say otherwise.
    """

    def __init__(
        self,
        threads: int,
        queue_size: int,
        call_soon: Callable[[Callable[[], None]], object],
        log: Log | None = None,
        name: str = "uvicorn-consumer",
        idle_seconds: float | None = None,
    ) -> None:
        self.threads: Final = threads
        self.queue_size: Final = queue_size
        self.rejected = 0
        self.passed_by = 0  # how often a connection was left to a sibling worker, since no thread is free
        self.hosts: list[Any] = []  # of leases (`lease.py`); loop only, as the next one
        self.leased = 0  # how many leases they host
        self.shared_hosts: list[Any] = []  # of leases that last
        self.on_short: Callable[[], object] | None = None  # called at the end of each turn while there are hosts
        self.spare: Callable[[], int] | None = None  # how many threads of hosts could be had at once
        self.on_retire: Callable[[], object] | None = None  # called in a thread that ends because it is idle
        self.on_busy: Callable[[], None] | None = None  # called at the end of each turn of a busy loop
        self._call_soon = call_soon
        self.name: Final = name
        self._slots: list[Slot] = []
        self._backlog = Backlog(self._slots, threads)
        log = log or logging.getLogger("gunicorn.error")
        self.pauses: Final = Pauses()
        self._drains = Drains(threads, self._backlog, self._slots, log, name, idle_seconds, self._retired)
        self._busy_from = min(threads, _BUSY_THREADS)
        self._is_wake_due = False

    def __repr__(self) -> str:
        waiting = sum(job.is_waiting for _, job in self.running())
        busy, stuck = self.busy, self.stuck
        return (
            f"<ConsumerPool {busy - waiting} running, {waiting} waiting, "
            + (f"{stuck} stuck, " if stuck else "")
            + f"{self.queued} queued / {self.threads}"
            + (f", limit {self.limit:.2f}>" if self.limit < self.threads else ">")
        )

    @property
    def busy(self) -> int:
        """How many threads run a job."""
        return sum(slot.job is not None for slot in tuple(self._slots))

    @property
    def stuck(self) -> int:
        """How many of them run one that does not come back (`stuck.py`)."""
        return sum(slot.job is not None and slot.job is slot.stuck for slot in tuple(self._slots))

    @property
    def queued(self) -> int:
        """How many jobs wait for a thread."""
        return len(self._backlog)

    @property
    def held(self) -> int:
        """How many of them the limit keeps back, and calls of leases with them."""
        return len(self._backlog.held) + len(self._backlog.asking)

    @property
    def first_held(self) -> object:
        """The one of them that is next, or None."""
        return self._backlog.first_held()

    @property
    def limit(self) -> float:
        """What the weights of the running jobs may add up to; `threads` if there is no limit."""
        return self._backlog.limit

    @property
    def weight(self) -> float:
        """What they add up to."""
        return self._backlog.weight

    @property
    def is_busy(self) -> bool:
        """Whether so much runs or waits that a limit may be needed."""
        # What is queued, too: it may be held by and by, when there is no other turn to tell of it.
        return self._drains.working + len(self._backlog.queue) >= self._busy_from or self.held > 0

    def set_limit(self, limit: float) -> None:
        """Change the limit, and let in what may run now."""
        if self._backlog.set_limit(limit, self._drains.has_thread):
            self._drains.wake_one()

    def measure(self, calls: int) -> None:
        """Have the next calls measured (`Load.learn`), if there is a limit for which it matters."""
        self._drains.measures = calls if self._backlog.is_limited else 0

    @property
    def late(self) -> int:
        """How many jobs wait behind all others."""
        return len(self._backlog.late)

    @property
    def working(self) -> int:
        """How many threads are not parked: that run a job, or look for one."""
        return self._drains.working

    @property
    def has_free_thread(self) -> bool:
        """Whether a job that is submitted now would find a thread at once; it errs on the side of no."""
        backlog = self._backlog
        return not (backlog.queue or backlog.short) and self._drains.has_thread

    @property
    def has_thread(self) -> bool:
        """Whether a thread has nothing to do, or may be started."""
        return self._drains.has_thread

    @property
    def oldest(self) -> float:
        """When the first job that waits was submitted (time.monotonic()); 0.0 if none does. Runs on: any thread."""
        return self._backlog.oldest()

    def waiting(self) -> list[Job]:
        """Return the jobs that wait for a thread."""
        return self._backlog.waiting()

    @property
    def is_full(self) -> bool:
        """Whether `submit` would refuse a job."""
        queued = len(self._backlog)
        if queued < self.queue_size:
            return False
        # A thread that has told its result is free: what follows of the same request must not be refused for it.
        most = self.threads + self.queue_size
        taken = queued + self.busy - self._drains.ending
        return taken >= most and (self.spare is None or taken - self.spare() >= most)

    def running(self) -> Iterator[tuple[int, Job]]:
        """Iterate over (thread identifier, job) for each job that runs. Runs on: any thread."""
        return self._drains.running()

    def is_stuck(self, job: Job) -> bool:
        """Whether a thread runs this job, and does not come back."""
        return any(slot.job is job and slot.stuck is job for slot in tuple(self._slots))

    def slots(self) -> tuple[Slot, ...]:
        """Return the slots of all threads that have begun. Runs on: any thread."""
        return tuple(self._slots)

    def cpu_seconds(self) -> float:
        """Return the processor time of the threads, added up. Runs on: any thread."""
        return self._drains.cpu_seconds()

    def submit(self, job: Job) -> bool:
        """Queue a job; return False, and do nothing, if all threads are busy and the queue is full."""
        queued = len(self._backlog)
        if queued >= self.queue_size and self.is_full:
            self.rejected += 1
            return False
        self.submit_beyond(job)
        return True

    def submit_beyond(self, job: Job) -> None:
        """Queue a job whatever the queue's size: what is left to do for one that was admitted before."""
        self._backlog.append(job)
        if not self._is_wake_due:  # as `_wake_soon`, without a call: each request passes here
            self._is_wake_due = True
            self._call_soon(self._end_turn)

    def put_back(self, jobs: list[Job]) -> None:
        """Queue jobs again that were taken back, before all others: behind them they might never have their turn."""
        self._backlog.put_back(jobs)
        self._wake_soon()

    def submit_late(self, job: Job) -> None:
        """Queue a job behind all others: it is not counted as queued, and never refused."""
        self._backlog.late.append(job)
        self._wake_soon()

    def cancel(self, job: Job) -> bool:
        """Take a job back; return False if a thread has it already."""
        return self._backlog.remove(job)

    def slot_of(self, job: Job) -> Slot | None:
        """Return that of the thread which runs a job, or None."""
        return next((slot for slot in tuple(self._slots) if slot.job is job), None)

    def resume(self, job: Job, slot: Slot) -> None:
        """Have a job run in this thread, before all that is queued."""
        slot.pinned.append(job)
        self._drains.unpark(slot)
        if self.on_short is not None:  # its present job, or another pinned one, may be a host that keeps the thread
            self.on_short()

    def expire(self, before: float) -> list[Job]:
        """Take back the jobs that were submitted before this time (time.monotonic())."""
        expired = self._backlog.expire(before)
        if len(self._backlog):  # a drain may have parked while we held a job
            self._wake_soon()
        return expired

    def stop(self) -> None:
        """Let every thread end that has nothing to do; do not wait for those that have."""
        self._drains.stop()

    def _wake_soon(self) -> None:
        if not self._is_wake_due:
            self._is_wake_due = True
            self._call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._is_wake_due = False
        drains = self._drains
        if self._backlog.has_ready(drains.has_thread):
            drains.wake_one()
        if self.hosts and self.on_short is not None:
            self.on_short()
        if self.on_busy is not None and self.is_busy:
            self.on_busy()

    # ---- worker threads only ----

    def about_to_look(self) -> bool:
        """Note that this thread is done with its job, but for telling, and looks at the queue next; return True.

        The job's `run` returns True then. Runs on: a worker thread.
        """
        return self._drains.about_to_look()

    def permit(self, job: Asking) -> bool:
        """Whether a job that runs may compute now; otherwise it is told when it may."""
        return self._backlog.permit(job)

    def look_again(self) -> None:
        """Let in what may run, because a job computes no more."""
        if self._backlog.is_limited and self._backlog.has_ready(self._drains.has_thread):
            self._drains.wake_one()

    def takes_measure(self) -> bool:
        """Whether a call is to be measured, of those that `measure` asked for."""
        if self._drains.measures <= 0:
            return False
        self._drains.measures -= 1
        return True

    def is_alone(self, job: object) -> bool:
        """Whether nothing else computes beside a job."""
        return self._drains.is_alone(job)

    def _retired(self) -> None:
        if self.on_retire is not None:
            self.on_retire()
