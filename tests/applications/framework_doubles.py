"""A loop whose frameworks use our threads, for tests."""

import asyncio
import functools
import threading
import time

from patience import PATIENCE_SECONDS

from uvicorn.applications.anyio_threads import AnyioThreads
from uvicorn.bridge.crossing import Crossing, install
from uvicorn.bridge.framework_calls import FrameworkPools, FrameworkThreads
from uvicorn.bridge.loop_executor import LoopExecutor
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.bridge.work import Work, current_work


class Channel:
    """What a request's work needs of its reply channel."""

    closed = False


class Frameworks:
    """The pools of a worker, and the seams of its loop."""

    def __init__(self, threads=2, queue_size=8, late=False):
        loop = asyncio.get_running_loop()

        def make(count, name):
            return ConsumerPool(count, queue_size, loop.call_soon, name=name)

        self.refused = 0
        self.main, self.aside, self.extra = make(threads, "main"), make(2, "aside"), make(50, "extra")
        self.background = make(1, "background") if late else None
        self.pools = [pool for pool in (self.main, self.aside, self.extra, self.background) if pool is not None]
        self.outbox = Outbox(loop)
        shared = FrameworkPools(self.aside, self.extra, self.background)
        self.threads = FrameworkThreads(self.main, shared, self.outbox, self._refused)
        self.seam = AnyioThreads(loop, threading.get_ident(), self.threads)
        self.seam.install()
        loop.set_default_executor(LoopExecutor(self.threads, threading.get_ident()))
        self.crossing = Crossing(self.outbox, self.main, {}, self.pools[1:])
        install(self.crossing)
        self._blocked = []

    def _refused(self):
        self.refused += 1

    def request(self):
        """Have what follows be done for a request; return its work."""
        work = Work(self.threads, Channel())
        current_work.set(work)
        return work

    def block(self):
        """Return a function that blocks in its thread until the test ends or `release` is called."""
        event = threading.Event()
        self._blocked.append(event)
        return functools.partial(event.wait, PATIENCE_SECONDS)

    def release(self):
        for event in self._blocked:
            event.set()

    def close(self):
        self.release()
        self.crossing.stop()
        install(None)
        self.seam.remove()
        for pool in self.pools:
            pool.stop()


def frameworks(patience=2 * PATIENCE_SECONDS, **arguments):
    """Run an asynchronous test with frameworks that use our threads."""

    def decorate(test):
        @functools.wraps(test)
        def run():
            async def bounded():
                made = Frameworks(**arguments)
                try:
                    await asyncio.wait_for(test(made), patience)
                finally:
                    made.close()

            asyncio.run(bounded())

        del run.__wrapped__  # or pytest would ask for a fixture
        return run

    return decorate


async def until(condition):
    """Let the loop go on until something holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.001)


async def until_runs(pool):
    """Let the loop go on until a thread of a pool runs a job; one that is about to take it counts as busy already."""
    await until(lambda: any(pool.running()))


def thread_name():
    return threading.current_thread().name
