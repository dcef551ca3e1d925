"""Pools that run dry: told once when it begins, with who holds the threads, and once when it is over."""

import re
import time
import types

from patience import until
from pool_doubles import PoolJob, RecordingLog, parked

from uvicorn.bridge.dry import DryWatch, held_threads
from uvicorn.bridge.governor import Load


class Watched:
    """A watch by a clock of its own; it tells of a wait of a second."""

    def __init__(self, *pools, seconds=1.0):
        self.log = RecordingLog()
        self.now = time.monotonic()
        self.watch = DryWatch(pools, lambda: self.now, self.log, seconds)

    def after(self, seconds):
        self.now += seconds
        self.watch.tick()
        return self.log.texts("warning")

    def named(self, job, name="app.slow"):
        """Have a job begin just now, with a name."""
        job.exchange = types.SimpleNamespace(consumer_name=name, shown_line="GET /slow", active_at=0.0)
        job.started_at = self.now
        job.name = name

    def waiting(self):
        """Return a job that begins to wait just now."""
        job = PoolJob()
        job.submitted_at = self.now
        return job


def test_a_dry_pool_is_told_once_with_who_holds_the_threads_for_how_long_and_at_which_line(pools):
    pool = pools.make(threads=2)
    watched = Watched(pool)
    for job in pools.block(pool, 2):
        watched.named(job)
    assert watched.after(10) == []  # busy, and nobody waits
    pool.submit(watched.waiting())
    assert watched.after(0) == []
    [text] = watched.after(2)
    assert re.match(
        rf"{pool.name} ran dry: 1 jobs wait, the first for 2\.0 seconds, and 2 of 2 threads are busy\. "
        r"Threads are held by app\.slow \(2\)\. More threads, a pool of their own for slow consumers, or deadlines in "
        rf"what they wait for\n  {pool.name}-1 for 12\.0 seconds in app\.slow: GET /slow\n"
        rf"    at \S+pool_doubles\.py:\d+, in run, which is in \S+threading\.py:\d+, in wait\n  {pool.name}-2 for",
        text,
    )
    assert watched.watch.is_dry(pool)
    assert watched.after(5) == [text]
    assert watched.watch.episodes == 1


def test_the_end_of_an_episode_is_told_with_its_length_and_what_was_refused(pools):
    pool = pools.make(threads=1, queue_size=1)
    [job] = pools.block(pool)
    watched = Watched(pool)
    pool.submit(watched.waiting())
    assert not pool.submit(PoolJob())
    [text] = watched.after(0)  # refused: that is dry at once
    assert not pool.submit(PoolJob())
    assert watched.after(3) == [text]
    job.release.set()
    pools.loop.turn()
    until(lambda: parked(pool) == 1, "the end of all jobs")
    [_, text] = watched.after(1)
    assert re.fullmatch(rf"{pool.name} has threads again, after 4\.0 seconds; 2 jobs were refused meanwhile", text)
    assert not watched.watch.is_dry(pool)
    assert len(watched.after(1)) == 2


def test_a_job_that_was_refused_with_nothing_in_the_queue_is_told(pools):
    pool = pools.make(threads=1, queue_size=0)
    pools.block(pool)
    watched = Watched(pool)
    assert not pool.submit(PoolJob())
    assert f"{pool.name} ran dry: a job was refused, and 1 of 1 threads are busy. " in watched.after(0)[0]


def test_what_the_governor_holds_back_is_told_as_that(pools):
    pool = pools.make(threads=4)
    [job] = pools.block(pool)
    job.load = Load()
    pool.set_limit(1.0)
    pool.submit(PoolJob(load=Load()))
    pools.loop.turn()
    watched = Watched(pool)
    [text] = watched.after(2)
    assert "the governor lets no more than 1.00 threads compute at once, of 4; what runs computes" in text


def test_many_threads_are_named_up_to_a_bound(pools):
    pool = pools.make(threads=24)
    pools.block(pool, 24)
    text = held_threads(pool, time.monotonic())
    assert text.count("    at ") == 20
    assert text.endswith("  and 4 more")


def test_nothing_is_told_if_that_is_switched_off(pools):
    pool = pools.make(threads=1)
    pools.block(pool)
    pool.submit(PoolJob())
    assert Watched(pool, seconds=0.0).after(100) == []
