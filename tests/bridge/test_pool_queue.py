"""The queue in front of the pool: its bounds, jobs that are taken back, and races."""

import time
from collections import deque
from functools import partial

import pytest
from patience import NEVER_SECONDS, until
from pool_doubles import PoolJob, parked, threads_of

from uvicorn.bridge import backlog
from uvicorn.bridge.governor import Load


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


@pytest.mark.parametrize(
    ("kinds", "order"),
    [
        ("ssss", [0, 1, 2, 3]),  # of one kind: first come, first served
        ("llll", [0, 1, 2, 3]),
        ("llss", [2, 3, 0, 1]),
        ("lsls", [1, 3, 0, 2]),
        ("slsl", [0, 2, 1, 3]),
        ("sslls", [0, 1, 4, 2, 3]),
    ],
)
def test_short_jobs_pass_long_ones_and_no_job_of_their_kind(pools, kinds, order, monkeypatch):
    monkeypatch.setattr(backlog, "_LONG_SECONDS", NEVER_SECONDS)
    pool = pools.make(threads=1)
    short = Load()
    for _ in range(5):
        short.learn(0.0, 0.0, True)
    ran = []
    (blocker,) = pools.block(pool)
    for number, kind in enumerate(kinds):
        pool.submit(PoolJob(action=partial(ran.append, number), load=short if kind == "s" else None))
    blocker.release.set()
    until(lambda: len(ran) == len(kinds), "the run of all jobs")
    assert ran == order


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
    until(lambda: parked(pool) == 1)  # between its job and its rest a thread counts as busy once more
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


def submitted_in_order(pool, count):
    """Submit jobs, each a second after the one before; return them, and the list of the numbers of those that ran."""
    order = []
    jobs = [PoolJob(action=lambda number=number: order.append(number)) for number in range(count)]
    for number, job in enumerate(jobs):
        job.submitted_at = float(number)
        pool.submit(job)
    return jobs, order


def test_what_is_taken_back_and_must_run_all_the_same_keeps_its_place(pools):
    pool = pools.make(threads=1)
    (running,) = pools.block(pool)
    _, order = submitted_in_order(pool, 4)
    pool.put_back(pool.expire(before=1.0))
    running.release.set()
    until(lambda: len(order) == 4, "the run of all")
    assert order == [0, 1, 2, 3]


def test_expiring_keeps_the_order_of_what_is_left(pools):
    pool = pools.make(threads=1)
    (running,) = pools.block(pool)
    jobs, order = submitted_in_order(pool, 5)
    assert pool.expire(before=0.0) == jobs[:1]
    running.release.set()
    until(lambda: len(order) == 4, "the run of what is left")
    assert order == [1, 2, 3, 4]


class LateDeque(deque):
    """A queue to which a job comes just when a thread has found it empty."""

    def __init__(self, come):
        super().__init__()
        self._come = [come]

    def popleft(self):
        try:
            return super().popleft()
        except IndexError:
            if self._come:
                self._come.pop()()
            raise


def test_a_job_that_comes_just_before_a_thread_parks_is_run_by_it(pools):
    pool = pools.make(threads=1)
    late = PoolJob()

    def come():
        pool.submit(late)
        pools.loop.turn()

    pool._backlog.queue = LateDeque(come)
    first = PoolJob()
    pools.run(pool, first)
    until(lambda: late.runs == 1, "the run of the late job")
    assert late.thread_id == first.thread_id


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
