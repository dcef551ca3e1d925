"""Threads that do not come back: found, named, and told when a pool has no other left."""

import re
import types

import pytest
from patience import until
from pool_doubles import PoolJob, RecordingLog

from uvicorn.bridge.stuck import StuckWatch


class Watched:
    """A watch over some pools, by a clock of its own; a call is stuck after 10 seconds."""

    def __init__(self, *pools, seconds=10.0):
        self.now = 100.0
        self.log = RecordingLog()
        self.lost = []
        self.watch = StuckWatch(pools, lambda: self.now, self.log, seconds, self.lost.append)

    def pass_time(self, seconds):
        """Let the watch look once a second."""
        for _ in range(seconds):
            self.now += 1.0
            self.watch.tick()


def exchange_of(job, line="GET /burn"):
    job.exchange = types.SimpleNamespace(consumer_name="app.burn", shown_line=line, active_at=100.0, sent_messages=0)
    return job.exchange


def test_a_stuck_thread_is_named_once_with_the_line_where_it_stands_and_since_when(pools):
    pool = pools.make(threads=2)
    [job] = pools.block(pool)
    exchange_of(job)
    watched = Watched(pool)

    watched.pass_time(10)
    assert watched.log.records == []
    assert pool.stuck == 0
    watched.pass_time(5)

    [text] = watched.log.texts("warning")
    assert text.startswith(f"1 of 2 threads of {pool.name} are stuck, 1 of them since the last look:\n")
    assert f"  {pool.name}-1 since 2" in text
    assert "(11 seconds) in app.burn: GET /burn" in text
    assert re.search(r"at \S+pool_doubles.py:\d+, in run, which is in \S+threading.py:\d+, in wait", text)
    assert "1 stuck, " in repr(pool)
    assert pool.is_stuck(job)
    assert "assert self.release.wait(PATIENCE_SECONDS)" in watched.watch.stacks(pool)


def test_a_stuck_thread_that_comes_back_is_told_and_serves_again(pools):
    pool = pools.make(threads=1)
    [job] = pools.block(pool)
    watched = Watched(pool)
    watched.pass_time(12)
    assert pool.stuck == 1

    job.release.set()
    until(lambda: not pool.busy, "the end of the job")
    assert pool.stuck == 0
    watched.pass_time(1)

    assert watched.log.texts("warning")[1:] == [f"Thread {pool.name}-1 is free again, after 12 seconds"]
    later = pools.blocking()
    pools.run(pool, later)
    watched.pass_time(10)
    assert not pool.is_stuck(later)


@pytest.mark.parametrize("sign", ["waits in a channel", "sends to a request", "sends to a socket", "makes a new call"])
def test_a_call_that_gives_a_sign_of_life_is_not_stuck(pools, sign):
    pool = pools.make(threads=1)
    [job] = pools.block(pool)
    exchange = exchange_of(job)
    watched = Watched(pool)

    for _ in range(5):
        watched.pass_time(9)
        job.is_waiting = sign == "waits in a channel"
        exchange.active_at += sign == "sends to a request"
        exchange.sent_messages += sign == "sends to a socket"
        if sign == "makes a new call":
            job.started_at = watched.now
        watched.pass_time(1)
        job.is_waiting = False

    assert pool.stuck == 0
    assert watched.log.records == []
    watched.pass_time(12)
    assert pool.stuck == 1


def test_a_call_that_was_stuck_and_sends_again_is_stuck_no_more(pools):
    pool = pools.make(threads=1)
    [job] = pools.block(pool)
    exchange = exchange_of(job)
    watched = Watched(pool)
    watched.pass_time(12)
    assert pool.stuck == 1
    exchange.active_at += 11
    watched.pass_time(1)
    assert pool.stuck == 0


def test_a_pool_is_lost_when_all_its_threads_are_stuck_and_a_request_waits(pools):
    other, pool = pools.make(threads=1), pools.make(threads=2)
    watched = Watched(other, pool)
    pools.block(pool)
    waiting = PoolJob()
    watched.pass_time(12)
    assert pool.stuck == 1
    pools.block(pool)
    watched.pass_time(12)
    assert pool.stuck == 2
    assert watched.lost == []  # nobody waits

    pool.submit(waiting)
    pools.loop.turn()
    watched.pass_time(3)
    assert watched.lost == [pool]  # once
    assert waiting.runs == 0


def test_a_pool_is_not_lost_while_one_thread_is_not_stuck(pools):
    pool = pools.make(threads=2)
    watched = Watched(pool)
    pools.block(pool, 2)
    watched.pass_time(10)
    [first, second] = [job for _, job in pool.running()]
    pool.submit(pools.blocking())
    pools.loop.turn()
    first.release.set()
    until(lambda: not pool.queued, "the third job to be taken")
    pool.submit(PoolJob())
    watched.pass_time(9)

    assert pool.is_stuck(second)
    assert pool.stuck == 1
    assert watched.lost == []


def test_a_pool_without_a_queue_is_lost_when_it_refuses_a_request(pools):
    pool = pools.make(threads=1, queue_size=0)
    watched = Watched(pool)
    pools.block(pool)
    assert not pool.submit(PoolJob())
    watched.pass_time(12)
    assert watched.lost == []  # that was before all were stuck
    assert not pool.submit(PoolJob())
    watched.pass_time(1)
    assert watched.lost == [pool]


def test_a_pool_is_lost_when_connections_go_to_other_workers_because_of_it(pools):
    pool = pools.make(threads=1)
    watched = Watched(pool)
    pools.block(pool)
    pool.passed_by += 1
    watched.pass_time(12)
    assert watched.lost == []  # that was before all were stuck
    pool.passed_by += 1
    watched.pass_time(1)
    assert watched.lost == [pool]


@pytest.mark.parametrize("reason", ["it is declared long", "there is no limit"])
def test_a_call_may_take_any_time_if(pools, reason):
    pool = pools.make(threads=1)
    [job] = pools.block(pool)
    job.is_long = reason == "it is declared long"
    pool.submit(PoolJob())
    watched = Watched(pool, seconds=10.0 if job.is_long else 0.0)
    watched.pass_time(1000)
    assert (pool.stuck, watched.log.records, watched.lost) == (0, [], [])


def test_the_watch_keeps_nothing_alive(pools):
    import weakref

    pool = pools.make(threads=1)
    job = PoolJob(blocks=True)
    pool.submit(job)
    pools.loop.turn()
    until(job.started.is_set)
    watched = Watched(pool)
    watched.pass_time(12)
    seen = weakref.ref(job)
    job.release.set()
    until(lambda: not pool.busy, "the end of the job")
    watched.pass_time(1)
    del job
    until(lambda: seen() is None, "the end of the job's life")
