"""Pools of real threads for the tests of the bridge: their jobs, the loop that they call, and their log."""

import itertools
import sys
import threading
import time

from patience import PATIENCE_SECONDS, until

from uvicorn.bridge.governor import Load
from uvicorn.bridge.pool import ConsumerPool

_pool_numbers = itertools.count()


class ManualLoop:
    """A `call_soon` whose turns the test makes."""

    def __init__(self):
        self.calls = []

    def call_soon(self, function):
        self.calls.append(function)

    def turn(self):
        calls, self.calls = self.calls, []
        for call in calls:
            call()


class PoolJob:
    """A job that notes where it ran, and blocks if it is told to."""

    def __init__(self, blocks=False, action=None, load=None):
        self.load = load or Load()
        self.submitted_at = time.monotonic()
        self.is_waiting = False
        self.started = threading.Event()
        self.release = threading.Event()
        self.runs = 0
        self.thread_id = 0
        self.thread_name = ""
        self._action = action
        if not blocks:
            self.release.set()

    def run(self):
        self.thread_id = threading.get_ident()
        self.thread_name = threading.current_thread().name
        self.runs += 1  # only now: who waits for the run looks at the thread then
        self.started.set()
        assert self.release.wait(PATIENCE_SECONDS)
        if self._action is not None:
            self._action()

    def has_come_to_rest(self):
        """Whether its thread waits for its release, with a stack that stays as it is."""
        condition = self.release._cond  # type: ignore[attr-defined]  # nothing public tells that somebody waits
        if not condition._waiters or condition._lock.locked():
            return False
        frame = sys._current_frames().get(self.thread_id)  # last: it may have been on its way to the wait before
        return frame is not None and frame.f_code is threading.Condition.wait.__code__


class Pools:
    """Make pools, each with a name of its own, and end them."""

    def __init__(self):
        self.loop = ManualLoop()
        self.log = RecordingLog()
        self._made = []
        self._jobs = []

    def make(self, threads=4, queue_size=100):
        pool = ConsumerPool(threads, queue_size, self.loop.call_soon, self.log, name=f"pool{next(_pool_numbers)}")
        self._made.append(pool)
        return pool

    def blocking(self, load=None):
        job = PoolJob(blocks=True, load=load)
        self._jobs.append(job)
        return job

    def block(self, pool, count=1):
        """Have jobs run that do not end until they are released."""
        jobs = [self.blocking() for _ in range(count)]
        for job in jobs:
            assert pool.submit(job)
            self.loop.turn()
            until(job.has_come_to_rest, "the wait of a job")
        return jobs

    def run(self, pool, *jobs):
        for job in jobs:
            assert pool.submit(job)
        self.loop.turn()
        for job in jobs:
            until(lambda job=job: job.runs == 1, "the run of a job")

    def close(self):
        for job in self._jobs:
            job.release.set()
        for pool in self._made:
            pool.stop()
            until(lambda pool=pool: not threads_of(pool), "the end of the threads")


def threads_of(pool):
    return [thread for thread in threading.enumerate() if thread.name.startswith(f"{pool.name}-")]


def has_taken(pool):
    """Whether a thread runs a job of a pool; one that is about to take it is `busy` already, and the job is queued."""
    return any(pool.running())


def parked(pool):
    """How many threads of a pool wait for work; nothing public tells when a thread has come to rest."""
    return len(pool._drains._parked)


class RecordingLog:
    """A log that keeps what it was told: (level, text)."""

    def __init__(self):
        self.records = []
        self.errors = []  # the exceptions that came with them

    def _log(self, level, msg, args, exc_info=None):
        self.records.append((level, msg % args if args else msg))
        if exc_info is True:
            self.errors.append(sys.exc_info()[1])

    def debug(self, msg, *args, **kwargs):
        self._log("debug", msg, args, **kwargs)

    def info(self, msg, *args, **kwargs):
        self._log("info", msg, args, **kwargs)

    def warning(self, msg, *args, **kwargs):
        self._log("warning", msg, args, **kwargs)

    def error(self, msg, *args, **kwargs):
        self._log("error", msg, args, **kwargs)

    def texts(self, level):
        return [text for noted, text in self.records if noted == level]
