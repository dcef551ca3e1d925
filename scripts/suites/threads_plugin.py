"""A plugin for pytest: what the tests hand to threads by anyio goes through our seam, in pools of ours.

A worker has one loop; these suites have one for each test. So each loop gets pools, an outbox and a seam of its own
when something is first handed to a thread there. Calls of tests are calls of a request: they are bounded and may be
refused.
`THREADS=own` leaves anyio as it is, for a comparison.
"""

import asyncio
import contextvars
import itertools
import os
import threading
import time
import weakref
from collections import Counter
from threading import get_ident

from uvicorn.applications import anyio_threads
from uvicorn.bridge.framework_calls import FrameworkPools, FrameworkThreads
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.bridge.work import Work, current_work

COUNTS = Counter()
Backend = anyio_threads.Backend
seams = weakref.WeakKeyDictionary()
numbers = itertools.count(1)  # of pools
unended = []  # names of threads whose pool was stopped, and that went on
PATIENCE = 10.0  # seconds


class Seam(anyio_threads.AnyioThreads):
    """The seam of one test's loop."""

    def __init__(self, loop):
        def make(threads, name):
            return ConsumerPool(threads, 320, loop.call_soon, name=f"{name} {next(numbers)}")

        self.pools = (make(40, "AnyIO worker thread"), make(40, "aside"), make(1000, "extra"))
        pool, aside, extra = self.pools
        threads = FrameworkThreads(pool, FrameworkPools(aside, extra), Outbox(loop), lambda: None)
        self.work = Work(threads)
        super().__init__(loop, get_ident(), threads)


def seam_of(loop):
    seam = seams.get(loop)
    if seam is None:
        # Outside of the test's context, as a worker makes it: or what tests look for would be kept.
        seam = seams[loop] = contextvars.Context().run(Seam, loop)
        known = anyio_threads.AnyioThreads
        known._set((*(each for each in known.serving if not each.loop.is_closed()), seam))
    return seam


def pytest_configure(config):
    config.addinivalue_line("markers", "xdist_group: of pytest-xdist, which does not run these tests")
    if os.environ.get("THREADS") == "own":
        return
    assert not anyio_threads.reason_against()
    anyio_threads.AnyioThreads.originals = {name: Backend.__dict__[name] for name in anyio_threads.METHODS}
    ours = anyio_threads._replacements()

    async def run_sync_in_worker_thread(cls, func, args, abandon_on_cancel=False, limiter=None):
        COUNTS["calls handed to threads"] += 1
        seam = seam_of(asyncio.get_running_loop())
        work = current_work.get()
        if work is None or work.threads is not seam.default:  # none, or that of another loop
            current_work.set(seam.work)
        return await ours["run_sync_in_worker_thread"](cls, func, args, abandon_on_cancel, limiter)

    def current_default_thread_limiter(cls):
        seam_of(asyncio.get_running_loop())
        return ours["current_default_thread_limiter"](cls)

    def from_thread(name):
        def call(cls, func, args, token):
            COUNTS["calls from threads"] += 1
            return ours[name](cls, func, args, token)

        return call

    Backend.run_sync_in_worker_thread = classmethod(run_sync_in_worker_thread)
    Backend.current_default_thread_limiter = classmethod(current_default_thread_limiter)
    for name in ("run_async_from_thread", "run_sync_from_thread"):
        setattr(Backend, name, classmethod(from_thread(name)))


def pytest_runtest_setup():
    """End the pools of loops that earlier tests have closed; not on a loop, since it waits."""
    for loop, seam in list(seams.items()):
        if loop.is_closed():
            _end(seam)
            del seams[loop]


def pytest_terminal_summary(terminalreporter):
    counts = ", ".join(f"{count} {what}" for what, count in sorted(COUNTS.items()))
    terminalreporter.write_line(f"through our seam: {counts or 'nothing'}")
    if unended:
        terminalreporter.write_line(f"threads that did not end with their pool: {', '.join(unended)}")


def pytest_unconfigure():
    for seam in list(seams.values()):
        _end(seam)


def _end(seam):
    """Stop the pools of a loop, and wait for their threads: some tests count those that are there.

    A thread whose call goes on is waited for once, and named at the end; all of them cost no more than one wait.
    """
    for pool in seam.pools:
        pool.stop()
    names = tuple(f"{pool.name}-" for pool in seam.pools)
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(names)]
    until = time.monotonic() + (PATIENCE if not unended else 0.1)  # or a suite that leaves many would take hours
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
        if thread.is_alive():
            unended.append(thread.name)
