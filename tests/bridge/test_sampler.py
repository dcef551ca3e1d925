"""The sampler: when it watches, what it sees, and what it makes of it."""

import sys
import time

import pytest
from doubles import FakeLoop
from patience import until
from pool_doubles import PoolJob, Pools, RecordingLog

from uvicorn.bridge import sampler as sampler_module
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.sampler import PoolSampler, own_clocks, reason_against


class Bench:
    """A sampler whose clocks the test moves, over a real pool."""

    def __init__(self, threads=8):
        self.loop = FakeLoop()
        self.pools = Pools()
        self.pool = self.pools.make(threads=threads)
        self.log = RecordingLog()
        self.outbox = Outbox(self.loop, self.log)
        self.process = self.thread = 0.0
        self.sampler = PoolSampler(self.pool, self.outbox, self.log, lambda: (self.loop.now, self.process, self.thread))

    def occupy(self, running, held=0):
        """Have jobs run, and others wait behind them."""
        jobs = self.pools.block(self.pool, running)
        if held:
            self.pool.set_limit(float(running))
        for _ in range(held):
            self.pool.submit(self.pools.blocking())
        self.pools.loop.turn()
        return jobs

    def pass_time(self, samples=1, threads=0.0, loop=0.0, wake_ups=0, lag=0.0):
        """Let samples be taken, with so much CPU time used per second, and wake-ups that waited `lag` seconds."""
        for _ in range(samples):
            self.outbox.timed_wake_ups += wake_ups
            self.outbox.lag_seconds += wake_ups * lag
            self.loop.now += 0.01
            self.process += 0.01 * (threads + loop)
            self.thread += 0.01 * loop
            self.loop.settle()

    @property
    def is_watching(self):
        return any(not timer.cancelled() for timer in self.loop._scheduled)  # type: ignore[attr-defined]

    def close(self):
        self.pools.close()
        self.loop.end()


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.close()


def test_a_pool_with_little_to_do_is_not_watched(bench):
    watch, bench.pool.on_busy = bench.pool.on_busy, None
    bench.occupy(3)  # meanwhile a job that its thread is about to take may count twice
    bench.pool.on_busy = watch
    bench.pool.put_back([])
    bench.pools.loop.turn()
    assert not bench.is_watching
    assert not bench.outbox.timers


def test_a_busy_pool_is_watched_until_it_was_quiet_for_a_second(bench):
    jobs = bench.occupy(4)
    bench.pool.submit(bench.pools.blocking())
    bench.pools.loop.turn()
    assert bench.is_watching
    bench.pass_time(samples=200)
    assert bench.is_watching
    for job in (*jobs, *bench.pools._jobs):
        job.release.set()
    until(lambda: not bench.pool.is_busy)
    bench.pass_time(samples=90)
    assert bench.is_watching
    bench.pass_time(samples=20)
    assert not bench.is_watching
    assert not bench.outbox.timers


def test_computing_threads_that_keep_the_loop_waiting_are_limited_and_it_tells_why(bench):
    bench.occupy(8)
    bench.sampler.watch()
    bench.pass_time(samples=2, threads=0.95, loop=0.05, wake_ups=4, lag=0.1)
    assert bench.pool.limit == 1.0
    assert (bench.sampler.cuts, bench.sampler.raises) == (1, 0)
    assert repr(bench.sampler) == (
        "<PoolSampler limit 1.00 of 8; the loop waits long for computing threads (1 cuts, 0 raises); "
        "lag 100.0 ms, threads 95%, loop 5%, 0 held>"
    )
    assert bench.log.texts("debug") == [f"Governor: {bench.sampler!r}"]


def test_waiting_threads_are_let_in_though_the_loop_is_busy(bench):
    bench.occupy(2, held=3)
    bench.sampler.watch()
    bench.pass_time(samples=8, threads=0.05, loop=0.9, wake_ups=4, lag=0.02)
    assert bench.pool.limit > 4
    assert bench.sampler.reason == "the threads mostly wait"
    until(lambda: bench.pool.busy == 5, "the run of what was held")


def test_what_was_seen_before_a_change_says_nothing_about_the_new_limit(bench):
    bench.occupy(8)
    bench.sampler.watch()
    bench.pass_time(samples=2, threads=0.95, loop=0.05, wake_ups=50, lag=0.1)
    bench.pass_time(samples=1, threads=0.95, loop=0.05, wake_ups=1, lag=0.0)
    assert bench.sampler.sample.wake_ups == 1
    assert bench.sampler.sample.seconds == pytest.approx(0.01)


def test_a_few_wake_ups_are_remembered_until_there_are_more(bench):
    """An average of the last few changed by chance, and the limit with it."""
    bench.occupy(4)
    bench.sampler.watch()
    bench.pass_time(samples=15, loop=0.05, wake_ups=1, lag=0.001)
    assert bench.sampler.sample.wake_ups == 15
    assert bench.sampler.sample.lag_seconds == pytest.approx(0.001)
    bench.pass_time(samples=100, loop=0.05, wake_ups=1, lag=0.002)
    assert bench.sampler.sample.wake_ups < 25
    assert bench.sampler.sample.lag_seconds == pytest.approx(0.002, rel=0.1)


def test_a_few_wake_ups_are_forgotten_when_no_more_come(bench):
    """Beside long computing that wakes nobody they would say for ever that the loop is not late."""
    bench.occupy(4)
    bench.sampler.watch()
    bench.pass_time(samples=10, loop=0.05, wake_ups=1, lag=0.0001)
    bench.pass_time(samples=60, threads=1.0)
    assert bench.sampler.sample.wake_ups < 0.5


def test_a_job_that_begins_to_wait_in_a_channel_makes_room_at_the_next_sample(bench):
    (job,) = bench.occupy(1, held=1)
    bench.sampler.watch()
    job.is_waiting = True
    bench.pass_time()
    until(lambda: bench.pool.busy == 2, "the run of what was held")


def test_after_a_quiet_time_a_few_requests_are_not_held_back(bench):
    bench.pool.set_limit(0.5)
    bench.sampler.watch()
    bench.pass_time(samples=101)
    assert (bench.pool.limit, bench.is_watching) == (4, False)


def test_the_lag_is_the_time_from_a_wake_up_of_the_loop_to_its_turn(bench, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("uvicorn.bridge.outbox.monotonic", lambda: now[0])
    bench.outbox.timers += 1
    for lag in (0.25, 0.5):
        bench.outbox.put(lambda _: None)
        bench.outbox.put(lambda _: None)  # of the same burst
        now[0] += lag
        bench.loop.settle()
    assert (bench.outbox.lag_seconds, bench.outbox.timed_wake_ups) == (0.75, 2)
    bench.outbox.timers -= 1
    bench.outbox.put(lambda _: None)
    bench.loop.settle()
    assert (bench.outbox.lag_seconds, bench.outbox.timed_wake_ups) == (0.75, 2)


def test_each_of_two_pools_sees_the_whole_lag_and_one_may_look_away_first(bench):
    other = PoolSampler(bench.pools.make(threads=4), bench.outbox, bench.log, bench.sampler._clocks)
    bench.sampler.watch()
    bench.pass_time(samples=60)
    other.watch()
    assert bench.outbox.timers == 2
    bench.pass_time(samples=10, threads=1.0, wake_ups=2, lag=0.25)
    assert [sampler.sample.lag_seconds for sampler in (bench.sampler, other)] == [pytest.approx(0.25)] * 2
    bench.pass_time(samples=35)
    assert bench.outbox.timers == 1
    bench.pass_time(samples=60)
    assert bench.outbox.timers == 0


def test_there_is_a_governor_where_threads_share_an_interpreter(monkeypatch):
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True, raising=False)
    assert reason_against() == ""


def test_there_is_none_where_threads_run_in_parallel(monkeypatch):
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    assert "in parallel" in reason_against()


@pytest.mark.parametrize("error", [OSError("no such clock"), AttributeError("thread_time")])
def test_there_is_none_where_the_cpu_time_of_a_thread_is_unknown(monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True, raising=False)
    monkeypatch.setattr(sampler_module, "read_clocks", fail)
    assert str(error) in reason_against()


def test_a_pool_that_is_not_governed_runs_as_many_jobs_as_it_has_threads(bench):
    pool = bench.pools.make(threads=6)
    assert pool.on_busy is None
    bench.pools.block(pool, 6)
    bench.pools.run(bench.pool, PoolJob())
    assert (pool.limit, pool.busy) == (6, 6)


def test_a_server_among_others_counts_the_processor_time_of_its_own_threads():
    class Pool:
        seconds = 1.0

        def cpu_seconds(self):
            return self.seconds

    one, two = Pool(), Pool()
    read = own_clocks([one, two])
    _, before, loop_before = read()
    burn_until(lambda: time.thread_time() > loop_before + 0.01)
    one.seconds = 1.5
    _, after, loop_after = read()
    assert (after - before) - (loop_after - loop_before) == pytest.approx(0.5)


def test_the_threads_of_a_pool_tell_their_processor_time():
    pools = Pools()
    pool = pools.make(threads=1)
    assert pool.cpu_seconds() == 0.0
    pool.submit(job := pools.blocking())
    pools.loop.turn()
    until(lambda: pool.busy)
    [slot] = pool.slots()
    assert 0.0 < time.clock_gettime(slot.clock) <= pool.cpu_seconds()
    job.release.set()
    pools.close()


def burn_until(condition):
    while not condition():
        pass


def test_a_sampler_that_is_stopped_looks_no_more(bench):
    bench.occupy(4)
    assert bench.is_watching
    bench.sampler.stop()
    assert not bench.is_watching
    assert bench.pool.on_busy is None
