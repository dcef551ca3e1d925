"""The pool under a limit: which jobs run, which are held, and that none is left behind."""

import random
import threading
import time

import pytest
from patience import until
from pool_doubles import PoolJob, parked, threads_of

from uvicorn.bridge.governor import Load


def known(weight):
    """Return the load of a consumer that computes this part of its time; 0 for a light one."""
    load = Load()
    for _ in range(10):
        load.learn(0.001 if weight else 0.0, 0.001 / weight if weight else 0.01, True)
    return load


def submit(pools, pool, *jobs):
    for job in jobs:
        assert pool.submit(job)
    pools.loop.turn()


def started(jobs):
    return sum(job.started.is_set() for job in jobs)


def settle(pool, busy):
    """Wait until no thread is on its way: so many run a job, and all others have parked."""
    until(lambda: pool.busy == busy and parked(pool) == len(threads_of(pool)) - busy, "the parking of the others")


@pytest.mark.parametrize(
    ("limit", "weight", "running"),
    [(1.0, 1.0, 1), (0.5, 1.0, 1), (2.0, 1.0, 2), (1.5, 1.0, 2), (1.0, 0.5, 2), (0.9, 0.25, 4), (4, 1.0, 4)],
)
def test_jobs_run_until_their_weights_reach_the_limit(pools, limit, weight, running):
    pool = pools.make(threads=4)
    pool.set_limit(limit)
    jobs = [pools.blocking(known(weight)) for _ in range(6)]
    submit(pools, pool, *jobs)
    until(lambda: started(jobs) == running)
    settle(pool, running)
    assert (started(jobs), pool.queued) == (running, 6 - running)


def test_repr_tells_the_limit(pools):
    pool = pools.make(threads=40)
    pool.set_limit(1.25)
    assert repr(pool) == "<ConsumerPool 0 running, 0 waiting, 0 queued / 40, limit 1.25>"


def test_held_jobs_run_one_after_the_other_in_the_order_of_their_submission(pools):
    pool = pools.make(threads=4)
    pool.set_limit(1.0)
    order = []
    most = []

    def note(number):
        order.append(number)
        most.append(pool.busy)

    jobs = [PoolJob(action=lambda number=number: note(number)) for number in range(20)]
    submit(pools, pool, *jobs)
    until(lambda: len(order) == 20)
    assert order == list(range(20))
    assert pool.queued == 0


def test_light_jobs_pass_by_those_that_are_held(pools):
    pool = pools.make(threads=4)
    pool.set_limit(1.0)
    heavy = [pools.blocking(known(1.0)) for _ in range(3)]
    light = [pools.blocking(known(0)) for _ in range(3)]
    submit(pools, pool, *heavy, *light)
    until(lambda: started(light) == 3 and started(heavy), "the run of the light jobs")  # whichever comes first
    assert (started(heavy), pool.held) == (1, 2)


def test_a_held_job_is_not_kept_out_by_light_ones(pools):
    pool = pools.make(threads=1)
    pool.set_limit(1.0)
    order = []
    gate = pools.blocking(known(1.0))
    held = PoolJob(load=known(1.0), action=lambda: order.append("held"))
    light = [PoolJob(load=known(0), action=lambda: order.append("light")) for _ in range(5)]
    submit(pools, pool, gate)
    until(gate.started.is_set)
    submit(pools, pool, held, *light)
    gate.release.set()
    until(lambda: len(order) == 6)
    assert order[0] == "held"


def test_raising_the_limit_lets_in_as_many_as_it_allows(pools):
    pool = pools.make(threads=4)
    pool.set_limit(1.0)
    jobs = [pools.blocking() for _ in range(6)]
    submit(pools, pool, *jobs)
    until(lambda: started(jobs) == 1)
    settle(pool, 1)
    pool.set_limit(3.0)
    until(lambda: started(jobs) == 3, "the run of what was let in")
    settle(pool, 3)
    assert pool.held == 3
    pool.set_limit(4)
    until(lambda: started(jobs) == 4)
    jobs[0].release.set()
    until(lambda: started(jobs) == 5, "the run of a job that was held, without a limit")


def test_lowering_the_limit_ends_no_job_and_lets_none_in(pools):
    pool = pools.make(threads=3)
    jobs = pools.block(pool, 3)
    pool.set_limit(1.0)
    late = pools.blocking()
    submit(pools, pool, late)
    for job in jobs[:2]:
        job.release.set()
    settle(pool, 1)
    assert not late.started.is_set()
    jobs[2].release.set()
    until(late.started.is_set, "the run after the last of those")


def test_a_job_that_waits_in_a_channel_does_not_count(pools):
    pool = pools.make(threads=3)
    pool.set_limit(1.0)
    jobs = [pools.blocking() for _ in range(3)]
    submit(pools, pool, *jobs)
    until(lambda: started(jobs) == 1)
    settle(pool, 1)
    jobs[0].is_waiting = True
    pool.set_limit(1.0)  # as the sampler does
    until(lambda: started(jobs) == 2, "the run beside a job that waits")
    settle(pool, 2)
    jobs[0].is_waiting = False
    jobs[1].release.set()
    settle(pool, 1)
    assert not jobs[2].started.is_set()


def test_held_jobs_are_taken_back_when_their_client_leaves(pools):
    pool = pools.make(threads=2)
    pool.set_limit(1.0)
    running, first, second = (pools.blocking() for _ in range(3))
    submit(pools, pool, running, first, second)
    until(running.started.is_set)
    settle(pool, 1)
    assert pool.cancel(first) is True
    assert pool.cancel(first) is False
    assert pool.cancel(running) is False
    running.release.set()
    until(second.started.is_set)
    assert first.runs == 0


def test_held_jobs_expire_like_queued_ones(pools):
    pool = pools.make(threads=2)
    pool.set_limit(1.0)
    jobs = [pools.blocking() for _ in range(4)]
    for number, job in enumerate(jobs):
        job.submitted_at = float(number)
    submit(pools, pool, *jobs)
    until(jobs[0].started.is_set)
    settle(pool, 1)
    assert pool.held == 3
    assert pool.expire(before=2.0) == jobs[1:3]
    assert pool.queued == 1


def test_held_jobs_count_for_the_size_of_the_queue(pools):
    pool = pools.make(threads=2, queue_size=2)
    pool.set_limit(1.0)
    jobs = [pools.blocking() for _ in range(5)]
    assert [pool.submit(job) for job in jobs] == [True] * 4 + [False]


def test_stop_drops_what_is_held(pools):
    pool = pools.make(threads=2)
    pool.set_limit(1.0)
    running, held = pools.blocking(), pools.blocking()
    submit(pools, pool, running, held)
    until(running.started.is_set)
    settle(pool, 1)
    pool.stop()
    running.release.set()
    until(lambda: not threads_of(pool))
    assert (held.runs, pool.queued) == (0, 0)


def test_calls_are_measured_while_there_is_a_limit(pools):
    pool = pools.make(threads=2)
    pool.set_limit(1.0)
    load = Load()

    def is_known_after_another():
        pool.measure(1)
        pools.run(pool, PoolJob(load=load))
        settle(pool, 0)
        return load.is_light

    until(is_known_after_another, "the knowledge of a light job")  # in the first few garbage may be collected


def test_no_call_is_measured_without_a_limit_or_unasked(pools):
    pool = pools.make(threads=2)
    load = Load()
    for limit in (2, 1.0):
        pool.measure(10)
        pool.set_limit(limit)
        for _ in range(10):
            pools.run(pool, PoolJob(load=load))
            settle(pool, 0)
    assert not load.is_light


def test_a_pool_tells_at_the_end_of_a_turn_that_it_is_busy(pools):
    told = []
    pool = pools.make(threads=8)
    pool.on_busy = lambda: told.append(pool.busy)
    pools.block(pool, 3)
    told.clear()  # a job that its thread was about to take has counted twice, maybe
    pool.put_back([])
    pools.loop.turn()
    assert told == []
    pools.block(pool, 1)
    until(lambda: not pools.run(pool, PoolJob()) and told, "the word of a busy pool")


def test_a_burst_that_will_be_held_in_part_is_told_at_the_end_of_its_turn(pools):
    told = []
    pool = pools.make(threads=8)
    pool.set_limit(4.0)
    pool.on_busy = lambda: told.append(True)
    jobs = [pools.blocking() for _ in range(5)]
    submit(pools, pool, *jobs)
    assert told
    until(lambda: pool.held == 1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_thousand_changes_of_the_limit_leave_no_job_behind(pools, seed):
    dice = random.Random(seed)
    pool = pools.make(threads=8, queue_size=1_000_000)
    loads = [known(1.0), known(0.5), known(0)]
    done = []

    def work():
        if len(done) % 10 == 0:
            time.sleep(0.0001)  # blocks, so that others come
        done.append(None)

    submitted = 0
    for turn in range(1000):
        for _ in range(dice.randrange(6)):
            submitted += 1
            pool.submit(PoolJob(action=work, load=dice.choice(loads)))
        pools.loop.turn()
        if dice.random() < 0.3:
            pool.set_limit(dice.choice([0.5, 1.0, 2.0, 3.5, 8]))
        if turn % 10 == 0:  # now and then nobody is left who would look again
            until(lambda: len(done) == submitted, "the run of every job")  # noqa: B023
    until(lambda: len(done) == submitted, "the run of every job")
    assert pool.queued == 0


@pytest.mark.slow
def test_a_thousand_turns_under_one_limit_never_pass_it(pools):
    pool = pools.make(threads=8, queue_size=1_000_000)
    pool.set_limit(2.0)
    half = known(0.5)
    lock = threading.Lock()
    running, most, done = [0], [0], []

    def work():
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.0001)
        with lock:
            running[0] -= 1
            done.append(None)

    for turn in range(1000):
        for _ in range(turn % 7):
            pool.submit(PoolJob(action=work, load=half))
        pools.loop.turn()
    until(lambda: len(done) == sum(turn % 7 for turn in range(1000)), "the run of every job")
    assert 1 < most[0] <= 4
