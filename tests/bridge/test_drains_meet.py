"""No wake-up is lost where the end of a thread and a wake-up meet: each order, made by hand.

Compiled, no other thread comes between two lines, but where one of them waits for a lock; and nobody is called back.
"""

import threading

import pytest
from patience import until
from pool_doubles import PoolJob, RecordingLog

from uvicorn.bridge.backlog import Backlog
from uvicorn.bridge.drains import Drains
from uvicorn.variant import is_compiled


class Parked(list):
    """The threads that are parked. It calls back when one has taken itself off."""

    def __init__(self, on_removed):
        super().__init__()
        self._on_removed = on_removed

    def remove(self, slot):
        super().remove(slot)
        self._on_removed()


class Lock:
    """A lock that calls back before somebody takes it, and when he has to wait for it."""

    def __init__(self, on_asked, on_blocked):
        self._lock = threading.Lock()
        self._on_asked = on_asked
        self._on_blocked = on_blocked

    def __enter__(self):
        self._on_asked()
        if not self._lock.acquire(blocking=False):
            self._on_blocked()
            self._lock.acquire()

    def __exit__(self, *error):
        self._lock.release()


class WatchedDrains(Drains):
    """One thread at most, which ends as soon as it is idle. It calls back before it says that none is on its way."""

    on_clear = staticmethod(lambda: None)
    _value = False

    def __init__(self, backlog, slots, on_retire):
        super().__init__(1, backlog, slots, RecordingLog(), "drain", 0.0, on_retire)

    @property
    def _is_searching(self):
        return self._value

    @_is_searching.setter
    def _is_searching(self, value):
        if not value and is_main():
            self.on_clear()
        self._value = value


class Meeting:
    """One thread that ends, and the test's own, which wakes one; events tell how far they are."""

    def __init__(self):
        slots = []
        self.backlog = Backlog(slots, 1)
        self.is_removed, self.is_seen, self.is_retired = (threading.Event() for _ in range(3))
        self.drains = WatchedDrains(self.backlog, slots, self.is_retired.set)

    def submit(self, job):
        self.backlog.append(job)
        self.drains.wake_one()

    def end(self):
        until(lambda: not self.drains.working, "the end of the threads")
        self.drains.stop()


@pytest.fixture
def meeting():
    meeting = Meeting()
    yield meeting
    meeting.end()


def is_main():
    return threading.current_thread() is threading.main_thread()


def test_a_job_that_comes_while_the_last_thread_ends_has_a_thread(meeting):
    """Each of both relied on the other: the thread on the wake-up, and that on the thread, which it took for there."""

    def on_removed():  # in the thread that ends, and is counted still
        if not meeting.is_removed.is_set():
            meeting.is_removed.set()
            until(meeting.is_seen.is_set, "the look of who wakes one")

    def on_blocked():
        if is_main():
            meeting.is_seen.set()

    def on_clear():
        meeting.is_seen.set()
        until(meeting.is_retired.is_set, "the end of the thread")

    drains = meeting.drains
    drains._parked = Parked(on_removed)
    drains._growing = Lock(lambda: None, on_blocked)
    drains.on_clear = on_clear
    first, second = PoolJob(), PoolJob()
    meeting.submit(first)
    until(meeting.is_removed.is_set, "the end of the first thread's time")
    meeting.submit(second)
    until(lambda: second.runs == 1, "the run of what came meanwhile")


@pytest.mark.skipif(is_compiled(), reason="compiled, no thread comes between the two lines")
def test_a_job_that_comes_while_another_finds_no_thread_has_the_place_of_the_one_that_ends(meeting):
    """The job relied on a wake-up under way, which found all threads started; and then one of them ended."""
    first, second = PoolJob(blocks=True), PoolJob()
    may_end, wants_lock = threading.Event(), threading.Event()

    def on_asked():
        if not is_main() and not wants_lock.is_set():  # the thread is idle, and about to end
            wants_lock.set()
            until(may_end.is_set, "the order to go on")

    def on_clear():
        drains.on_clear = lambda: None
        first.release.set()
        until(wants_lock.is_set, "the end of the thread's time")
        meeting.submit(second)  # one is on its way, so it seems
        may_end.set()
        until(lambda: meeting.is_seen.is_set() or meeting.is_retired.is_set(), "the end of the thread, or its wait")

    drains = meeting.drains
    meeting.submit(first)
    until(first.started.is_set)
    drains._growing = Lock(on_asked, meeting.is_seen.set)
    drains.on_clear = on_clear
    drains.wake_one()
    until(lambda: second.runs == 1, "the run of what came meanwhile")
