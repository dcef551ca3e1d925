"""The threads of a pool: how many there are, which one works, and how they end."""

import asyncio
import threading
from types import SimpleNamespace

import pytest
from bridge_doubles import on_loop, until_async
from patience import until
from pool_doubles import PoolJob, parked, threads_of

from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pool import ConsumerPool, Slot
from uvicorn.bridge.pool_call import PoolCall


def test_a_pool_that_was_given_nothing_has_no_threads(pools):
    pool = pools.make()
    pool.submit(PoolJob())  # its turn has not ended
    assert threads_of(pool) == []


def test_one_thread_does_all_work_that_does_not_block(pools):
    pool = pools.make()
    jobs = [PoolJob() for _ in range(200)]
    for job in jobs:
        pools.run(pool, job)
        until(lambda: parked(pool) == 1, "the parking of the thread")
    assert len({job.thread_id for job in jobs}) == 1
    assert len(threads_of(pool)) == 1


def test_jobs_that_block_get_new_threads_within_one_turn(pools):
    pool = pools.make(threads=4)
    jobs = [pools.blocking() for _ in range(4)]
    for job in jobs:
        pool.submit(job)
    pools.loop.turn()
    for job in jobs:
        until(job.started.is_set, "the start of a job behind one that blocks")
    assert len({job.thread_id for job in jobs}) == 4


class _Lock:
    """The lock of a parked thread that is slow to wake up: it does not look at the queue before the test has ended."""

    def __init__(self):
        self.releases = 0

    def release(self):
        self.releases += 1


def test_jobs_that_tell_their_end_do_not_wake_a_thread_each_while_a_woken_one_is_on_its_way(pools):
    pool = pools.make(threads=4)
    (blocker,) = pools.block(pool)
    locks = [_Lock() for _ in range(3)]
    pool._drains._parked.extend(SimpleNamespace(lock=lock) for lock in locks)
    jobs = [_TellingJob(pool) for _ in range(10)]
    for job in jobs:
        pool.submit(job)
    blocker.release.set()
    until(lambda: all(job.runs for job in jobs), "the run of all jobs")
    until(lambda: parked(pool) == 3, "the parking of the one thread that works")
    assert sum(lock.releases for lock in locks) == 1
    pool._drains._parked[:] = [slot for slot in pool._drains._parked if isinstance(slot, Slot)]


def test_a_job_that_fails_behind_the_telling_of_its_end_leaves_the_pool_awake(pools):
    pool = pools.make(threads=2)
    (blocker,) = pools.block(pool)
    pools.run(pool, _TellingJob(pool, fails=True))
    until(lambda: parked(pool) == 1)
    blocker.release.set()
    until(lambda: parked(pool) == 2)
    pools.run(pool, PoolJob())
    assert [type(error) for error in pools.log.errors] == [ValueError]


class _TellingJob(PoolJob):
    """A job that tells its result, and that its thread looks at the queue next."""

    def __init__(self, pool, fails=False):
        super().__init__()
        self._pool = pool
        self._fails = fails

    def run(self):
        super().run()
        is_told = self._pool.about_to_look()
        if self._fails:
            raise ValueError
        return is_told


def test_there_are_never_more_threads_than_allowed(pools):
    pool = pools.make(threads=3)
    jobs = [pools.blocking() for _ in range(10)]
    for job in jobs:
        pool.submit(job)
        pools.loop.turn()
    until(lambda: sum(job.started.is_set() for job in jobs) == 3, "the start of three jobs")
    assert (len(threads_of(pool)), pool.busy, pool.queued) == (3, 3, 7)
    for job in jobs:
        job.release.set()
    until(lambda: all(job.runs == 1 for job in jobs), "the run of all jobs")
    assert len(threads_of(pool)) == 3


def test_threads_are_named_and_numbered_from_one(pools):
    pool = pools.make(threads=3)
    pools.block(pool, 3)
    assert sorted(thread.name for thread in threads_of(pool)) == [f"{pool.name}-{number}" for number in (1, 2, 3)]


def test_threads_are_called_consumers_of_uvicorn(pools):
    pool = ConsumerPool(1, 1, pools.loop.call_soon)
    job = PoolJob()
    pools.run(pool, job)
    pool.stop()
    assert job.thread_name == "uvicorn-consumer-1"


def test_the_thread_that_parked_last_is_woken_first(pools):
    pool = pools.make(threads=3)
    jobs = pools.block(pool, 3)
    for number, job in enumerate((jobs[1], jobs[2], jobs[0]), 1):
        job.release.set()
        until(lambda number=number: parked(pool) == number, "the parking of the thread")
    late = PoolJob()
    pools.run(pool, late)
    assert late.thread_id == jobs[0].thread_id


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_job_that_raises_costs_no_thread_and_is_logged(pools, kind):
    def fail():
        raise kind("a mistake of ours")

    pool = pools.make(threads=1)
    pools.run(pool, PoolJob(action=fail))
    until(lambda: pool.busy == 0, "the end of the job that raised")
    later = PoolJob()
    pools.run(pool, later)
    assert later.runs == 1
    assert [type(error) for error in pools.log.errors] == [kind]
    assert pools.log.texts("error") == [f"Error in thread {pool.name}-1"]


def submitted_while_no_thread_can_be_started(pools, pool, monkeypatch):
    """Submit a job to a pool that wants another thread for it; return the job."""

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    job = PoolJob()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        pool.submit(job)
        try:
            pools.loop.turn()
        except RuntimeError:
            pass  # the loop would log it
    return job


def test_a_thread_that_cannot_be_started_costs_no_other(pools, monkeypatch):
    pool = pools.make(threads=2)
    (blocker,) = pools.block(pool)
    stranded = submitted_while_no_thread_can_be_started(pools, pool, monkeypatch)
    blocker.release.set()
    until(lambda: stranded.runs == 1, "the run by the thread that there is")
    until(lambda: parked(pool) == 1)
    later = PoolJob()
    pools.run(pool, later)
    assert later.thread_id == blocker.thread_id
    assert pools.log.texts("warning") == ["Cannot start another thread: can't start new thread; 1 run"]


def test_a_thread_is_started_later_if_it_could_not_be_started_once(pools, monkeypatch):
    pool = pools.make(threads=1)
    first = submitted_while_no_thread_can_be_started(pools, pool, monkeypatch)
    pools.run(pool, PoolJob())
    until(lambda: first.runs == 1, "the run of the first job")
    assert pool.queued == 0


def test_a_job_that_comes_while_a_thread_cannot_be_started_is_run_by_a_parked_one(pools, monkeypatch):
    pool = pools.make(threads=3)
    first, second = pools.block(pool, 2)
    long, short, late = pools.blocking(), PoolJob(), PoolJob()

    def refuse(thread):
        second.release.set()  # its thread does what is queued, and parks
        until(lambda: parked(pool) == 1, "the parking of the other thread")
        pool.submit(late)
        pools.loop.turn()
        raise RuntimeError("can't start new thread")

    pool.submit(long)
    pool.submit(short)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    first.release.set()  # its thread takes the long job, and asks for another thread
    until(long.started.is_set)
    until(lambda: late.runs == 1, "the run beside the long job")
    assert late.thread_id == second.thread_id


def test_stop_ends_the_threads_that_have_nothing_to_do(pools):
    pool = pools.make(threads=3)
    for job in pools.block(pool, 3):
        job.release.set()
    until(lambda: parked(pool) == 3)
    pool.stop()
    until(lambda: not threads_of(pool), "the end of the threads")


def test_stop_does_not_wait_for_a_job_that_runs(pools):
    pool = pools.make(threads=2)
    (job,) = pools.block(pool)
    pool.stop()
    assert pool.busy == 1
    job.release.set()
    until(lambda: not threads_of(pool), "the end of the thread after its job")


def test_a_job_submitted_after_stop_starts_no_thread(pools):
    pool = pools.make()
    pool.stop()
    pool.submit(PoolJob())
    pools.loop.turn()
    assert threads_of(pool) == []


@on_loop
async def test_threads_that_are_idle_end_where_they_are_not_to_be_kept():
    """A burst of calls that threads waited for left up to a thousand threads behind, with a connection each."""
    ended = []
    pool = ConsumerPool(8, 0, asyncio.get_running_loop().call_soon, name="extra", idle_seconds=0.0)
    pool.on_retire = lambda: ended.append(threading.current_thread().name)
    for _ in range(30):
        jobs = [PoolCall(int, Outbox(asyncio.get_running_loop())) for _ in range(3)]
        for job in jobs:
            pool.submit_beyond(job)
        await asyncio.gather(*(job.settled for job in jobs))
    await until_async(lambda: not pool.slots() and not pool.working and ended)
    await until_async(lambda: not any(thread.name.startswith("extra-") for thread in threading.enumerate()))
    pool.stop()
