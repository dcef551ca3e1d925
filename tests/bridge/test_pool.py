"""The pool of threads: what it tells, in which order it runs what it was given, and what it keeps."""

import gc
import weakref

from patience import until
from pool_doubles import PoolJob, parked, threads_of


def test_repr_tells_running_waiting_and_queued(pools):
    pool = pools.make(threads=40)
    jobs = pools.block(pool, 4)
    jobs[2].is_waiting = True
    pool.submit(pools.blocking())
    pool.submit(pools.blocking())
    assert repr(pool) == "<ConsumerPool 3 running, 1 waiting, 2 queued / 40>"


def test_repr_of_a_new_pool_tells_nothing_runs(pools):
    assert repr(pools.make(threads=3)) == "<ConsumerPool 0 running, 0 waiting, 0 queued / 3>"


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


def test_jobs_run_in_the_order_of_their_submission(pools):
    pool = pools.make(threads=1)
    order = []
    jobs = [PoolJob(action=lambda number=number: order.append(number)) for number in range(20)]
    pools.run(pool, *jobs)
    until(lambda: len(order) == 20)
    assert order == list(range(20))


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
