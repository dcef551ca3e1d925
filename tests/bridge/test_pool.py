"""The pool of threads, with turns made by the test."""

import gc
import itertools
import threading
import time
import weakref

import pytest
from bridge_doubles import ManualLoop, PoolJob, RecordingLog, until

from uvicorn.bridge.pool import ConsumerPool

_names = (f"pool{number}" for number in itertools.count())


class Pools:
    """Make pools, each with a name of its own, and end them."""

    def __init__(self):
        self.loop = ManualLoop()
        self.log = RecordingLog()
        self._made = []
        self._jobs = []

    def make(self, threads=4, queue_size=100):
        pool = ConsumerPool(threads, queue_size, self.loop.call_soon, self.log, name=next(_names))
        self._made.append(pool)
        return pool

    def blocking(self):
        job = PoolJob(blocks=True)
        self._jobs.append(job)
        return job

    def block(self, pool, count=1):
        """Have jobs run that do not end until they are released."""
        jobs = [self.blocking() for _ in range(count)]
        for job in jobs:
            assert pool.submit(job)
            self.loop.turn()
            until(job.started.is_set)
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


@pytest.fixture
def pools():
    pools = Pools()
    yield pools
    pools.close()


def threads_of(pool):
    return [thread for thread in threading.enumerate() if thread.name.startswith(f"{pool._name}-")]


def parked(pool):
    """How many threads of a pool wait for work; nothing public tells when a thread has come to rest."""
    return len(pool._parked)


def test_repr_tells_running_waiting_and_queued(pools):
    pool = pools.make(threads=40)
    jobs = pools.block(pool, 4)
    jobs[2].is_waiting = True
    pool.submit(pools.blocking())
    pool.submit(pools.blocking())
    assert repr(pool) == "<ConsumerPool 3 running, 1 waiting, 2 queued / 40>"


def test_repr_of_a_new_pool_tells_nothing_runs(pools):
    assert repr(pools.make(threads=3)) == "<ConsumerPool 0 running, 0 waiting, 0 queued / 3>"


def test_a_pool_that_was_given_nothing_has_no_threads(pools):
    pool = pools.make()
    pool.submit(PoolJob())  # its turn has not ended
    assert threads_of(pool) == []


def test_many_jobs_of_one_turn_ask_for_one_wake_up(pools):
    pool = pools.make()
    for _ in range(10):
        pool.submit(PoolJob())
    assert len(pools.loop.calls) == 1


def test_each_turn_asks_for_its_own_wake_up(pools):
    pool = pools.make()
    pools.run(pool, PoolJob())
    pool.submit(PoolJob())
    assert len(pools.loop.calls) == 1


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


def test_there_are_never_more_threads_than_allowed(pools):
    pool = pools.make(threads=3)
    jobs = [pools.blocking() for _ in range(10)]
    for job in jobs:
        pool.submit(job)
        pools.loop.turn()
    until(lambda: pool.busy == 3)
    assert (len(threads_of(pool)), pool.busy, pool.queued) == (3, 3, 7)
    for job in jobs:
        job.release.set()
    until(lambda: all(job.runs == 1 for job in jobs), "the run of all jobs")
    assert len(threads_of(pool)) == 3


def test_threads_are_named_and_numbered_from_one(pools):
    pool = pools.make(threads=3)
    pools.block(pool, 3)
    assert sorted(thread.name for thread in threads_of(pool)) == [f"{pool._name}-{number}" for number in (1, 2, 3)]


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


def test_jobs_run_in_the_order_of_their_submission(pools):
    pool = pools.make(threads=1)
    order = []
    jobs = [PoolJob(action=lambda number=number: order.append(number)) for number in range(20)]
    pools.run(pool, *jobs)
    until(lambda: len(order) == 20)
    assert order == list(range(20))


def test_a_full_queue_rejects_when_all_threads_are_busy(pools):
    pool = pools.make(threads=2, queue_size=1)
    pools.block(pool, 2)
    queued, refused = pools.blocking(), pools.blocking()
    assert pool.submit(queued) is True
    assert pool.submit(refused) is False
    assert (pool.queued, pool.rejected) == (1, 1)


def test_a_rejected_job_never_runs(pools):
    pool = pools.make(threads=1, queue_size=0)
    (job,) = pools.block(pool)
    refused = PoolJob()
    pool.submit(refused)
    job.release.set()
    pools.loop.turn()
    until(lambda: parked(pool) == 1)
    assert refused.runs == 0


def test_a_burst_fills_idle_threads_before_it_fills_the_queue(pools):
    pool = pools.make(threads=2, queue_size=3)
    assert [pool.submit(pools.blocking()) for _ in range(7)] == [True] * 5 + [False] * 2


def test_a_queue_of_none_takes_as_many_jobs_as_there_are_threads(pools):
    pool = pools.make(threads=2, queue_size=0)
    assert [pool.submit(pools.blocking()) for _ in range(3)] == [True, True, False]


def test_a_queue_of_none_takes_a_job_again_when_a_thread_is_free(pools):
    pool = pools.make(threads=1, queue_size=0)
    (job,) = pools.block(pool)
    assert pool.submit(PoolJob()) is False
    job.release.set()
    until(lambda: pool.busy == 0)
    assert pool.submit(PoolJob()) is True


def test_what_was_admitted_before_is_taken_beyond_the_size_of_the_queue(pools):
    pool = pools.make(threads=1, queue_size=0)
    (job,) = pools.block(pool)
    rest = PoolJob()
    pool.submit_beyond(rest)
    pools.loop.turn()
    job.release.set()
    until(lambda: rest.runs == 1)
    assert pool.rejected == 0


def test_a_job_that_is_cancelled_in_the_queue_never_runs(pools):
    pool = pools.make(threads=1)
    (job,) = pools.block(pool)
    cancelled, other = PoolJob(), PoolJob()
    pool.submit(cancelled)
    pool.submit(other)
    assert pool.cancel(cancelled) is True
    job.release.set()
    until(lambda: other.runs == 1)
    assert cancelled.runs == 0


def test_a_job_that_runs_cannot_be_cancelled(pools):
    pool = pools.make()
    (job,) = pools.block(pool)
    assert pool.cancel(job) is False
    assert pool.busy == 1


def test_a_job_can_be_cancelled_once(pools):
    pool = pools.make()
    job = PoolJob()
    pool.submit(job)
    assert (pool.cancel(job), pool.cancel(job)) == (True, False)


def test_a_turn_whose_jobs_were_all_cancelled_starts_no_thread(pools):
    pool = pools.make()
    job = PoolJob()
    pool.submit(job)
    pool.cancel(job)
    pools.loop.turn()
    assert threads_of(pool) == []


def test_expiring_takes_back_what_waited_too_long_and_nothing_else(pools):
    pool = pools.make(threads=1)
    (running,) = pools.block(pool)
    old = [PoolJob(), PoolJob()]
    fresh = PoolJob()
    for number, job in enumerate([*old, fresh]):
        job.submitted_at = float(number)
        pool.submit(job)
    assert pool.expire(before=1.0) == old
    assert pool.queued == 1
    running.release.set()
    until(lambda: fresh.runs == 1)
    assert [job.runs for job in old] == [0, 0]


def test_expiring_an_empty_queue_gives_nothing(pools):
    assert pools.make().expire(before=time.monotonic()) == []


def test_a_job_that_expiring_puts_back_is_run_though_all_threads_parked_meanwhile(pools):
    pool = pools.make(threads=1)
    pools.run(pool, PoolJob())
    until(lambda: parked(pool) == 1)
    fresh = PoolJob()
    pool.submit(fresh)
    pools.loop.calls.clear()  # its wake-up found an empty queue, say
    pool._is_wake_due = False
    assert pool.expire(before=0.0) == []
    pools.loop.turn()
    until(lambda: fresh.runs == 1, "the run of the job that was put back")


def test_running_tells_each_thread_and_its_job(pools):
    pool = pools.make()
    jobs = pools.block(pool, 2)
    assert sorted(pool.running()) == sorted((job.thread_id, job) for job in jobs)


def test_a_job_that_has_run_is_not_kept(pools):
    pool = pools.make()
    job = PoolJob()
    reference = weakref.ref(job)
    pools.run(pool, job)
    until(lambda: parked(pool) == 1)
    del job
    gc.collect()
    assert reference() is None


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


def test_a_thread_that_cannot_be_started_costs_no_other(pools, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    pool = pools.make(threads=2)
    (blocker,) = pools.block(pool)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        stranded = PoolJob()
        pool.submit(stranded)
        try:
            pools.loop.turn()
        except RuntimeError:
            pass  # the loop would log it
    blocker.release.set()
    until(lambda: stranded.runs == 1, "the run by the thread that there is")
    until(lambda: parked(pool) == 1)
    later = PoolJob()
    pools.run(pool, later)
    assert later.thread_id == blocker.thread_id


def test_a_thread_is_started_later_if_it_could_not_be_started_once(pools, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    pool = pools.make(threads=1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        first = PoolJob()
        pool.submit(first)
        try:
            pools.loop.turn()
        except RuntimeError:
            pass
    pools.run(pool, PoolJob())
    until(lambda: first.runs == 1, "the run of the first job")
    assert pool.queued == 0


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


def test_stop_drops_what_is_queued(pools):
    pool = pools.make(threads=1)
    (job,) = pools.block(pool)
    queued = PoolJob()
    pool.submit(queued)
    pool.stop()
    job.release.set()
    pools.loop.turn()
    until(lambda: not threads_of(pool))
    assert (queued.runs, pool.queued) == (0, 0)


def test_a_job_submitted_after_stop_starts_no_thread(pools):
    pool = pools.make()
    pool.stop()
    pool.submit(PoolJob())
    pools.loop.turn()
    assert threads_of(pool) == []


@pytest.mark.slow
def test_a_thousand_turns_lose_no_job(pools):
    pool = pools.make(threads=8, queue_size=1_000_000)
    done = []
    submitted = 0
    for turn in range(1000):
        for number in range(turn % 7 + 1):
            submitted += 1
            pool.submit(PoolJob(action=lambda: done.append(None)))
            if number == 3:
                assert pool.expire(before=0.0) == []
        pools.loop.turn()
        if turn % 5 == 0:
            pools.loop.turn()  # a wake-up that expire asked for
            until(lambda: len(done) == submitted, "the run of every job of a turn")  # noqa: B023
    pools.loop.turn()
    until(lambda: len(done) == submitted, "the run of every job")
    assert pool.queued == 0


@pytest.mark.slow
def test_a_thousand_cancels_race_with_threads_and_each_job_is_run_or_taken_back(pools):
    pool = pools.make(threads=4, queue_size=1_000_000)
    cancelled, kept = [], []
    for _ in range(1000):
        jobs = [PoolJob() for _ in range(4)]
        for job in jobs:
            pool.submit(job)
        pools.loop.turn()
        for job in reversed(jobs):
            (cancelled if pool.cancel(job) else kept).append(job)
    until(lambda: all(job.runs == 1 for job in kept), "the run of every job that was not taken back")
    until(lambda: pool.busy == 0)
    assert not any(job.runs for job in cancelled)
