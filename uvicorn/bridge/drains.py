"""The threads of a pool: when one is woken or started, when it parks, and when it ends.

Theory of operation
-------------------
The threads belong to a `ThreadPoolExecutor`; each runs one long *drain*, which takes jobs from the backlog until it has
none that may run, and then parks.

*Waking.* Whoever has queued a job asks for one wake-up at the end of the loop's turn, however many jobs the turn
brings. `wake_one` pops the drain that parked last (its caches are warm), or starts a new one while there are fewer than
`most`; but only if no woken drain is still *searching*, on its way to the queue, and none is *ending*, about to look
there when it has told its result. (Two words: one that ends must not say that the woken one is there already, or
each job of a burst wakes another thread.) A drain that takes a job and leaves others behind
wakes one more before it runs its own. So as long as consumers do not block, one thread does
all the work, and at most one other is woken for nothing; when one blocks, the next is on its way
already: threads grow exactly as fast as consumers block. Waking a thread for every request
(`executor.submit`) makes threads that fight for the interpreter.

*No wake-up is lost.* A drain that finds the queue empty puts itself on the list of parked drains
and then looks at the queue again; a submitter appends first and then looks at the list. A searching drain
says that it searches no more, and then looks at the queue; a submitter appends first and then asks whether
one searches. The same holds for one that is ending. Each time one of the two sees the other. ("The queue is empty"
means that it has no job that may run, `backlog.py`.)
A thread that ends because it is idle takes itself off under the lock under which threads are started, and then looks at
the queue. Who finds all threads started, and so wakes none, says under that lock that none is searching: either it is
the first, and what the ending one finds in the queue gets a thread by that one; or it sees the free place.

*Counting.* Nothing is counted up and down by two threads. What runs is what the slots say: each
drain has a slot, and writes the job that it runs there, one assignment at its beginning and one at
its end.
"""

from __future__ import annotations

import contextvars
import itertools
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import clock_gettime, thread_time
from typing import Final

from uvicorn.bridge.backlog import Backlog
from uvicorn.bridge.measure import Measure
from uvicorn.bridge.outbox import Log
from uvicorn.bridge.slots import TAKING, Job, Slot

__all__ = ["Drains"]


class Drains:
    """At most `most` threads that run the jobs of a backlog.

    Args:
        slots: of the threads that have begun; the backlog looks at them too.
        log: where a job that raises, which none may, is reported.
        name: the threads are called `<name>-1` and so on.
        idle_seconds: a thread that had nothing to do for so long ends; None to keep all.
        on_retire: called in a thread that ends because it is idle.

    Attributes:
        measures: how many calls to measure; a race of two threads costs a measure, or gives one more.

    All methods run on: any thread, unless they say otherwise.
    """

    def __init__(
        self,
        most: int,
        backlog: Backlog,
        slots: list[Slot],
        log: Log,
        name: str,
        idle_seconds: float | None,
        on_retire: Callable[[], object],
    ) -> None:
        self.most: Final = most
        self.measures = 0
        self._backlog = backlog
        self._slots = slots
        self._log = log
        self._name = name
        self._idle_seconds = idle_seconds
        self._on_retire = on_retire
        self._parked: list[Slot] = []
        self._started = 0
        self._growing = threading.Lock()  # held while a thread is added; never while a job runs
        self._executor = ThreadPoolExecutor(most, initializer=self._name_thread)
        self._numbers = itertools.count(1)
        self._retired_seconds = 0.0  # processor time of threads that have ended
        self._is_searching = False  # a drain was woken and has not looked at the queue yet
        self._is_ending = False  # the job of one is over, but for the return
        self._is_stopping = False
        _alive.add(self)

    @property
    def has_thread(self) -> bool:
        """Whether a thread has nothing to do, or may be started."""
        return bool(self._parked) or self._started < self.most

    @property
    def working(self) -> int:
        """How many threads are not parked: that run a job, or look for one."""
        return self._started - len(self._parked)

    @property
    def ending(self) -> int:
        """How many threads are free but for the return of their jobs: 0 or 1."""
        return int(self._is_ending)

    def running(self) -> Iterator[tuple[int, Job]]:
        """Yield (thread identifier, job) for each job that runs."""
        for slot in tuple(self._slots):
            job = slot.job
            if job is not None and job is not TAKING:
                yield slot.thread_id, job

    def is_alone(self, job: object) -> bool:
        """Whether nothing else computes beside a job."""
        return all(other is job or other.is_waiting or other.load.is_light for _, other in self.running())

    def cpu_seconds(self) -> float:
        """Return the processor time of the threads, added up."""
        seconds = self._retired_seconds
        for slot in tuple(self._slots):
            if slot.clock is not None:
                try:
                    seconds += clock_gettime(slot.clock)
                except OSError:
                    pass  # that thread has ended
        return seconds

    def stop(self) -> None:
        """Let every thread end that has nothing to do; do not wait for those that have. Runs on: the loop."""
        with self._growing:  # or a thread could be asked for after the executor was shut down
            self._is_stopping = True
        self._backlog.clear()
        for slot in tuple(self._slots):
            self.unpark(slot)
        self._executor.shutdown(wait=False)

    def about_to_look(self) -> bool:
        """Note that this thread is done with its job, but for telling, and looks at the queue next; return True.

        What is submitted in answer to it need not wake another thread. The job's `run` returns True then, so that this
        is taken back before the thread looks. Runs on: a thread of ours.
        """
        self._is_ending = True
        return True

    def wake_one(self) -> None:
        """Unpark a drain, or start one, if none is on its way."""
        if self._is_searching or self._is_ending:
            return
        self._is_searching = True
        try:
            slot = self._parked.pop()
        except IndexError:
            if not self._start_one() and self._parked and self._backlog.has_ready():
                self.wake_one()  # one has parked, and a job has come that relied on us
        else:
            slot.lock.release()

    def _start_one(self) -> bool:
        """Start a drain; if there may be none, say that none is on its way."""
        with self._growing:
            if self._started < self.most and not self._is_stopping and self._add_thread():
                self._started += 1
                return True
            self._is_searching = False  # no later: a thread that ends takes this lock before it looks at this
            return False

    def _add_thread(self) -> bool:
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
        return True

    def unpark(self, slot: Slot) -> None:
        """Have the thread of a slot look for something to do, if it is parked."""
        try:
            self._parked.remove(slot)
        except ValueError:
            return  # it works, or somebody else unparks it
        slot.lock.release()

    # ---- our threads only ----

    def _name_thread(self) -> None:
        thread = threading.current_thread()
        thread.name = f"{self._name}-{next(self._numbers)}"

    def _drain(self) -> None:
        slot = Slot(threading.get_ident())
        self._slots.append(slot)
        backlog = self._backlog
        queue = backlog.queue
        self._is_searching = False
        while not self._is_stopping:
            slot.job = TAKING
            if slot.pinned:
                try:
                    slot.job = slot.pinned.popleft()
                except IndexError:
                    continue  # the loop has taken it back
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
                self.wake_one()
            try:
                if self.measures > 0 and job.load.can_learn:
                    self._run_measured(job)
                elif job.run():
                    self._is_ending = False
            except BaseException:
                self._is_ending = False
                self._log.error("Error in thread %s", threading.current_thread().name, exc_info=True)
            slot.job = None
            del job  # the lifetime rule: a parked drain keeps no message

    def _run_measured(self, job: Job) -> None:
        self.measures -= 1
        load, measure = job.load, Measure(self.is_alone(job))
        is_over = job.run()
        measure.end(load, self.is_alone(job))
        if is_over:  # not before: until this thread is free again, it counts as such
            self._is_ending = False

    def _park(self, slot: Slot) -> bool:
        """Wait until there may be something to do; return False if the thread is to end."""
        self._parked.append(slot)
        if self._is_stopping or slot.pinned or self._backlog.has_ready():
            self.unpark(slot)
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
            self.wake_one()
        self._on_retire()
        return True


def _stop_all() -> None:
    """End the threads of servers that nobody has stopped: their threads were daemons, and the process ends."""
    for drains in tuple(_alive):
        drains.stop()


_alive: Final[weakref.WeakSet[Drains]] = weakref.WeakSet()
# What `concurrent.futures` has registered there joins the threads of all executors, and a drain ends when it is told.
# `atexit` comes after that. The last one is called first.
threading._register_atexit(_stop_all)  # type: ignore[attr-defined]  # there is no public way
