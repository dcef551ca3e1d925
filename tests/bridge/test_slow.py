"""Consumers that run for long: told once with their stack, and once more when they have ended."""

import asyncio
import re
import time
import types

import pytest
from bridge_doubles import on_loop
from patience import until
from pool_doubles import RecordingLog

from uvicorn.bridge.slow import SlowWatch


class Watched:
    """A watch by a clock of its own; a call is slow after ten seconds."""

    def __init__(self, *pools, tasks=(), seconds=10.0):
        self.log = RecordingLog()
        self.time = time.monotonic()
        self.tasks = dict(tasks)
        dispatcher = types.SimpleNamespace(all_pools=pools, running=types.SimpleNamespace(requests=self.tasks))
        self.watch = SlowWatch(dispatcher, self.now, self.log, seconds)

    def now(self):
        return self.time

    def after(self, seconds):
        self.time += seconds
        self.watch.tick()
        return self.log.texts("warning")

    def serving(self, job, name="app.slow"):
        """Have a job begin to serve a request just now."""
        job.exchange = types.SimpleNamespace(consumer_name=name, shown_line="GET /slow", active_at=0.0)
        job.started_at = self.time


def test_a_slow_consumer_is_told_once_with_its_stack_and_again_when_it_has_ended(pools):
    pool = pools.make(threads=1)
    [job] = pools.block(pool)
    watched = Watched(pool)
    watched.serving(job)
    assert watched.after(9) == []
    [text] = watched.after(2)
    assert re.match(
        rf"app\.slow is slow: GET /slow, for 11 seconds in thread {pool.name}-1, at \S+pool_doubles\.py:\d+, in run, "
        r"which is in \S+threading\.py:\d+, in wait\n  File ",
        text,
    )
    assert "assert self.release.wait(PATIENCE_SECONDS)" in text
    assert watched.after(100) == [text]
    job.release.set()
    until(lambda: not pool.busy, "the end of the job")
    assert watched.after(1)[1:] == ["app.slow has ended, after 112 seconds: GET /slow"]
    assert watched.watch.found == 1


def test_many_slow_calls_of_one_consumer_are_counted(pools):
    pool = pools.make(threads=3)
    watched = Watched(pool)
    for job in pools.block(pool, 3):
        watched.serving(job)
    [text] = watched.after(11)
    assert "; and 2 more calls of it\n" in text


@pytest.mark.parametrize("why", ["waits in a channel", "has sent something", "is declared long"])
def test_a_call_that_gives_signs_of_life_or_may_take_long_is_not_slow(pools, why):
    pool = pools.make(threads=1)
    [job] = pools.block(pool)
    watched = Watched(pool)
    watched.serving(job)
    for _ in range(5):
        job.is_waiting = why == "waits in a channel"
        job.exchange.active_at = watched.now() if why == "has sent something" else 0.0
        job.is_long = why == "is declared long"
        assert watched.after(9) == []


class Served:
    consumer_name = "app.wait"
    shown_line = "GET /wait"
    status = 0
    consumer = None
    started_at = 0.0


async def sleeps():
    await waits_within()


async def waits_within():
    await asyncio.Event().wait()


@on_loop
async def test_a_slow_coroutine_is_told_with_the_line_at_which_it_waits():
    task = asyncio.ensure_future(sleeps())
    await asyncio.sleep(0)
    served = Served()
    watched = Watched(tasks=[(served, task)])
    served.started_at = watched.now()
    [text] = watched.after(11)
    assert re.match(
        r"app\.wait is slow: GET /wait, for 11 seconds on the loop, at \S+test_slow\.py:\d+, in waits_within, which is "
        r"in \S+locks\.py:\d+, in wait\n",
        text,
    )
    assert text.index("in sleeps") < text.index("in waits_within\n")
    watched.tasks.clear()
    assert watched.after(1)[1:] == ["app.wait has ended, after 12 seconds: GET /wait"]
    task.cancel()


@on_loop
async def test_a_coroutine_whose_response_has_begun_or_that_is_declared_long_is_not_slow():
    task = asyncio.ensure_future(sleeps())
    streaming, declared = Served(), Served()
    streaming.status = 200
    declared.consumer = types.SimpleNamespace(is_long=True)
    watched = Watched(tasks=[(streaming, task), (declared, task)])
    assert watched.after(100) == []
    task.cancel()


def test_nothing_is_told_if_that_is_switched_off(pools):
    pool = pools.make(threads=1)
    [job] = pools.block(pool)
    watched = Watched(pool, seconds=0.0)
    watched.serving(job)
    assert watched.after(100) == []
