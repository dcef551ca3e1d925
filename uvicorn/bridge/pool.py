"""A bounded pool of threads behind a bounded queue: where synchronous consumers run.

Theory of operation
-------------------
The loop submits, cancels, expires and counts; threads only take jobs. The threads belong to
a `ThreadPoolExecutor`; each runs one long *drain*, which takes jobs from the queue until
it is empty, and then parks.

*Waking.* `submit` appends the job and asks for one wake-up at the end of the loop's turn,
however many jobs the turn brings. `_wake_one` pops the drain that parked last (its caches are
warm), or starts a new one while there are fewer than `threads`; but only if no woken drain is
still *searching*, on its way to the queue, and none is *ending*, about to look there when it has
told its result. (Two words: one that ends must not say that the woken one is there already, or
each job of a burst wakes another thread.) A drain that takes a job and leaves others behind
wakes one more before it runs its own. So as long as consumers do not block, one thread does
all the work, and at most one other is woken for nothing; when one blocks, the next is on its way
already: threads grow exactly as fast as consumers block. Waking a thread for every request
(`executor.submit`) makes threads that fight for the interpreter.

*A limit.* The governor may allow less to run at once than there are threads. Which jobs may run is then
decided in `backlog.py`; in what follows, "the queue is empty" means that it has no job that may run.

*No wake-up is lost.* A drain that finds the queue empty puts itself on the list of parked drains
and then looks at the queue again; a submitter appends first and then looks at the list. A searching drain
says that it searches no more, and then looks at the queue; a submitter appends first and then asks whether
one searches. The same holds for one that is ending. Each time one of the two sees the other.

*Who owns a job.* `deque.popleft` and `deque.remove` are atomic: a job is either taken by a thread or
removed by the loop (client gone, waited too long), never both.

*Counting.* Nothing is counted up and down by two threads. What runs is what the slots say: each
drain has a slot, and writes the job that it runs there, one assignment at its beginning and one at
its end.
"""

from __future__ import annotations

import contextvars
import itertools
import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import clock_gettime, thread_time
from typing import Any, Final

from uvicorn.bridge.backlog import Backlog
from uvicorn.bridge.measure import Measure
from uvicorn.bridge.outbox import Log
from uvicorn.bridge.slots import TAKING, Asking, Job, Slot

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
        self._log: Log = log or logging.getLogger("gunicorn.error")
        self.name: Final = name
        self._parked: list[Slot] = []
        self._slots: list[Slot] = []
        self._backlog = Backlog(self._slots, threads)
        self._busy_from = min(threads, _BUSY_THREADS)
        self._measures = 0  # how many calls to measure; a race of two threads costs a measure, or gives one more
        self._started = 0
        self._growing = threading.Lock()  # held while a thread is added; never while a job runs
        self._executor = ThreadPoolExecutor(threads, initializer=self._name_thread)
        self._idle_seconds = idle_seconds
        self._numbers = itertools.count(1)
        self._retired_seconds = 0.0  # processor time of threads that have ended
        self._is_wake_due = False
        self._is_searching = False  # a drain was woken and has not looked at the queue yet
        self._is_ending = False  # the job of one is over, but for the return
        self._is_stopping = False
        _pools.add(self)

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
        for kept in (self._backlog.held, self._backlog.asking):
            try:
                return kept[0]
            except IndexError:
                continue
        return None

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
        working = self._started - len(self._parked)
        return working + len(self._backlog.queue) >= self._busy_from or self.held > 0

    def set_limit(self, limit: float) -> None:
        """Change the limit, and let in what may run now."""
        if self._backlog.set_limit(limit, self.has_thread):
            self._wake_one()

    def measure(self, calls: int) -> None:
        """Have the next calls measured (`Load.learn`), if there is a limit for which it matters."""
        self._measures = calls if self._backlog.is_limited else 0

    @property
    def late(self) -> int:
        """How many jobs wait behind all others."""
        return len(self._backlog.late)

    @property
    def working(self) -> int:
        """How many threads are not parked: that run a job, or look for one."""
        return self._started - len(self._parked)

    @property
    def has_free_thread(self) -> bool:
        """Whether a job that is submitted now would find a thread at once; it errs on the side of no."""
        backlog = self._backlog
        return not (backlog.queue or backlog.short) and self.has_thread

    @property
    def has_thread(self) -> bool:
        """Whether a thread has nothing to do, or may be started."""
        return bool(self._parked) or self._started < self.threads

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
        taken = queued + self.busy - self._is_ending
        return taken >= most and (self.spare is None or taken - self.spare() >= most)

    def running(self) -> Iterator[tuple[int, Job]]:
        """Yield (thread identifier, job) for each job that runs. Runs on: any thread."""
        for slot in tuple(self._slots):
            job = slot.job
            if job is not None and job is not TAKING:
                yield slot.thread_id, job

    def is_stuck(self, job: Job) -> bool:
        """Whether a thread runs this job, and does not come back."""
        return any(slot.job is job and slot.stuck is job for slot in tuple(self._slots))

    def slots(self) -> tuple[Slot, ...]:
        """Return the slots of all threads that have begun. Runs on: any thread."""
        return tuple(self._slots)

    def cpu_seconds(self) -> float:
        """Return the processor time of the threads, added up. Runs on: any thread."""
        seconds = self._retired_seconds
        for slot in tuple(self._slots):
            if slot.clock is not None:
                try:
                    seconds += clock_gettime(slot.clock)
                except OSError:
                    pass  # that thread has ended
        return seconds

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
        if not self._is_wake_due:
            self._is_wake_due = True
            self._call_soon(self._end_turn)

    def put_back(self, jobs: list[Job]) -> None:
        """Queue jobs again that were taken back, before all others: behind them they might never have their turn."""
        self._backlog.put_back(jobs)
        if not self._is_wake_due:
            self._is_wake_due = True
            self._call_soon(self._end_turn)

    def about_to_look(self) -> bool:
        """Note that this thread is done with its job, but for telling, and looks at the queue next; return True.

        What is submitted in answer to it need not wake another thread. The job's `run` returns True then, so that this
        is taken back before the thread looks. Runs on: a worker thread.
        """
        self._is_ending = True
        return True

    def submit_late(self, job: Job) -> None:
        """Queue a job behind all others: it is not counted as queued, and never refused."""
        self._backlog.late.append(job)
        if not self._is_wake_due:
            self._is_wake_due = True
            self._call_soon(self._end_turn)

    def cancel(self, job: Job) -> bool:
        """Take a job back; return False if a thread has it already."""
        return self._backlog.remove(job)

    def slot_of(self, job: Job) -> Slot | None:
        """Return that of the thread which runs a job, or None."""
        return next((slot for slot in tuple(self._slots) if slot.job is job), None)

    def resume(self, job: Job, slot: Slot) -> None:
        """Have a job run in this thread, before all that is queued."""
        slot.pinned.append(job)
        self._unpark(slot)
        if self.on_short is not None:  # its present job, or another pinned one, may be a host that keeps the thread
            self.on_short()

    def expire(self, before: float) -> list[Job]:
        """Take back the jobs that were submitted before this time (time.monotonic())."""
        expired = self._backlog.expire(before)
        if len(self._backlog) and not self._is_wake_due:  # a drain may have parked while we held a job
            self._is_wake_due = True
            self._call_soon(self._end_turn)
        return expired

    def stop(self) -> None:
        """Let every thread end that has nothing to do; do not wait for those that have."""
        with self._growing:  # or a thread could be asked for after the executor was shut down
            self._is_stopping = True
        self._backlog.clear()
        for slot in tuple(self._slots):
            self._unpark(slot)
        self._executor.shutdown(wait=False)

    def _end_turn(self) -> None:
        self._is_wake_due = False
        if self._backlog.has_ready(self.has_thread):
            self._wake_one()
        if self.hosts and self.on_short is not None:
            self.on_short()
        if self.on_busy is not None and self.is_busy:
            self.on_busy()

    def _wake_one(self) -> None:
        """Unpark a drain, or start one, if none is on its way. Runs on: any thread."""
        if self._is_searching or self._is_ending:
            return
        self._is_searching = True
        try:
            slot = self._parked.pop()
        except IndexError:
            if self._started >= self.threads or not self._start_one():
                self._is_searching = False
                if self._parked and self._backlog.has_ready():  # one has parked, and a job has come that relied on us
                    self._wake_one()
        else:
            slot.lock.release()

    def _start_one(self) -> bool:
        with self._growing:
            if self._started >= self.threads or self._is_stopping:
                return False
            try:
                # In an empty context: a Python whose threads inherit it would keep that of a request for ever.
                executor = self._executor
                if self._idle_seconds is not None:  # one of its own, or the thread would stay when its drain has ended
                    executor = ThreadPoolExecutor(1, initializer=self._name_thread)
                contextvars.Context().run(executor.submit, self._drain)
                if executor is not self._executor:
                    executor.shutdown(wait=False)
            except RuntimeError as error:  # a limit of the system: the threads that there are do the work
                self._log.warning("Cannot start another thread: %s; %d run", error, self._started)
                return False
            self._started += 1
            return True

    def _unpark(self, slot: Slot) -> None:
        try:
            self._parked.remove(slot)
        except ValueError:
            return  # it works, or somebody else unparks it
        slot.lock.release()

    # ---- worker threads only ----

    def _name_thread(self) -> None:
        thread = threading.current_thread()
        thread.name = f"{self.name}-{next(self._numbers)}"

    def _drain(self) -> None:
        slot = Slot(threading.get_ident())
        self._slots.append(slot)
        backlog = self._backlog
        queue = backlog.queue
        self._is_searching = False
        while not self._is_stopping:
            slot.job = TAKING
            if slot.pinned:
                slot.job = slot.pinned.popleft()
                has_more = backlog.has_ready(self.has_thread)
            elif backlog.is_limited:
                has_more = backlog.choose(slot)
            elif backlog.short or backlog.late:
                slot.job = backlog.take()
                has_more = backlog.has_ready()
            else:
                try:
                    slot.job = queue.popleft()
                except IndexError:
                    slot.job = None
                has_more = bool(queue)
            job = slot.job
            if job is None:
                if self._park(slot):
                    continue
                return
            if has_more:
                self._wake_one()
            try:
                if self._measures > 0 and job.load.can_learn:
                    self._run_measured(job)
                elif job.run():
                    self._is_ending = False
            except BaseException:
                self._is_ending = False
                self._log.error("Error in thread %s", threading.current_thread().name, exc_info=True)
            slot.job = None
            del job  # the lifetime rule: a parked drain keeps no message

    def _run_measured(self, job: Job) -> None:
        self._measures -= 1
        load, measure = job.load, Measure(self.is_alone(job))
        if job.run():
            self._is_ending = False
        measure.end(load, self.is_alone(job))

    def permit(self, job: Asking) -> bool:
        """Whether a job that runs may compute now; otherwise it is told when it may."""
        return self._backlog.permit(job)

    def look_again(self) -> None:
        """Let in what may run, because a job computes no more."""
        if self._backlog.is_limited and self._backlog.has_ready(self.has_thread):
            self._wake_one()

    def takes_measure(self) -> bool:
        """Whether a call is to be measured, of those that `measure` asked for."""
        if self._measures <= 0:
            return False
        self._measures -= 1
        return True

    def is_alone(self, job: object) -> bool:
        """Whether nothing else computes beside a job."""
        return all(other is job or other.is_waiting or other.load.is_light for _, other in self.running())

    def _park(self, slot: Slot) -> bool:
        """Wait until there may be something to do; return False if the thread is to end."""
        self._parked.append(slot)
        if self._is_stopping or slot.pinned or self._backlog.has_ready():
            self._unpark(slot)
        if self._idle_seconds is None:
            slot.lock.acquire()
        elif not slot.lock.acquire(timeout=self._idle_seconds):
            if self._retire(slot):
                return False
            slot.lock.acquire()
        self._is_searching = False
        return True

    def _retire(self, slot: Slot) -> bool:
        """Leave the pool, unless somebody is about to unpark this thread."""
        with self._growing:
            try:
                self._parked.remove(slot)
            except ValueError:
                return False
            self._started -= 1
            self._slots.remove(slot)
            self._retired_seconds += thread_time()
        if self._backlog.has_ready():  # it has come meanwhile, and found all threads started and none parked
            self._wake_one()
        if self.on_retire is not None:
            self.on_retire()
        return True


def _stop_all() -> None:
    """End the threads of servers that nobody has stopped: their threads were daemons, and the process ends."""
    for pool in tuple(_pools):
        pool.stop()


_pools: Final[weakref.WeakSet[ConsumerPool]] = weakref.WeakSet()
# What `concurrent.futures` has registered there joins the threads of all executors, and a drain ends when it is told.
# `atexit` comes after that. The last one is called first.
threading._register_atexit(_stop_all)  # type: ignore[attr-defined]  # there is no public way
