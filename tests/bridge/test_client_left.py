"""A client that leaves: what its request has queued in threads is taken back, and nobody else is looked at."""

import asyncio
import contextlib
import threading

import pytest
from bridge_doubles import Bridge, on_loop, until_async
from test_lease import lease_on, pool_of, run
from test_lending import threads_on

from uvicorn.bridge.work import Work, current_work
from uvicorn.errors import ChannelClosed

pytestmark = pytest.mark.usefixtures("no_lending")


class Channel:
    closed = False


@contextlib.asynccontextmanager
async def one_thread():
    """A pool of one thread for a framework's calls, and its `FrameworkThreads`; it ends when nothing runs any more."""
    pool = pool_of(1)
    threads, _, _ = threads_on(pool)
    yield pool, threads
    await until_async(lambda: not pool.busy)
    pool.stop()


@on_loop
async def test_a_request_whose_client_left_before_it_had_a_thread_takes_none():
    async with one_thread() as (pool, threads):
        first, second = lease_on(pool), lease_on(pool)
        work = Work(threads, Channel())
        await run(first, int)
        current_work.set(work)
        waiting = asyncio.ensure_future(run(second, int))
        await until_async(lambda: pool.queued == 1)
        threads.drop_left(work)
        await asyncio.sleep(0)
        assert not waiting.done()
        work.channel.closed = True
        threads.drop_left(work)
        with pytest.raises(ChannelClosed):
            await waiting
        first.release()
        second.release()


@on_loop
async def test_a_request_whose_client_left_makes_its_calls_in_the_thread_that_it_has():
    """There may be something to undo."""
    async with one_thread() as (pool, threads):
        lease, work, release = lease_on(pool), Work(threads, Channel()), threading.Event()
        current_work.set(work)
        running = asyncio.ensure_future(run(lease, release.wait))
        await until_async(lambda: lease.host is not None and lease.host.thread_id)
        waiting = asyncio.ensure_future(run(lease, int, "7"))
        await asyncio.sleep(0)
        work.channel.closed = True
        threads.drop_left(work)
        release.set()
        assert await asyncio.gather(running, waiting) == [True, 7]
        lease.release()


@on_loop
async def test_a_client_that_leaves_costs_no_look_at_the_threads_of_others():
    """With many open streams, each that was closed looked at all of them."""
    async with one_thread() as (pool, threads):
        lease, work = lease_on(pool), Work(threads, Channel())
        current_work.set(work)
        await run(lease, int)
        hosts, pool.hosts = pool.hosts, None
        work.channel.closed = True
        threads.drop_left(work)
        pool.hosts = hosts
        lease.release()


@on_loop
async def test_only_the_threads_of_its_own_request_hear_of_a_client_that_leaves():
    class Threads:
        left = ()

        def drop_left(self, work):
            self.left += (work,)

    async with Bridge() as bridge:
        started = asyncio.Event()

        async def wait(message):
            started.set()
            await asyncio.Event().wait()

        threads, other = Threads(), Threads()
        bridge.dispatcher.frameworks[bridge.pool] = other
        exchange, idle = bridge.call(wait), bridge.call(wait)
        await started.wait()
        exchange.work = Work(threads, Channel())
        for each in (exchange, idle):
            each.lose()
            bridge.dispatcher.cancel(each, grace=0)
        assert (threads.left, other.left) == ((exchange.work,), ())
        bridge.dispatcher.frameworks.clear()
        bridge.dispatcher.tick()
        await bridge.idle()
