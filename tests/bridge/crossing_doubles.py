"""A loop with a crossing of its own, for tests of `run_in_pool` and `run_on_loop`."""

import asyncio
import functools
import threading

from bridge_doubles import on_loop

from uvicorn.bridge.crossing import Crossing, install
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pool import ConsumerPool


def crossing(threads=2, queue_size=4, **named):
    """Run an asynchronous test with a crossing of its own."""

    def decorate(test):
        @functools.wraps(test)
        @on_loop
        async def run():
            loop = asyncio.get_running_loop()
            pool = ConsumerPool(threads, queue_size, loop.call_soon, name="main")
            pools = {name: ConsumerPool(size, 4, loop.call_soon, name=name) for name, size in named.items()}
            made = Crossing(Outbox(loop), pool, pools)
            install(made)
            try:
                await test(made)
            finally:
                made.stop()
                install(None)
                for each in (pool, *pools.values()):
                    each.stop()

        del run.__wrapped__  # or pytest would ask for a fixture
        return run

    return decorate


def thread_name():
    return threading.current_thread().name
