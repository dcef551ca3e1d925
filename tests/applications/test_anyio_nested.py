"""Calls of anyio's for which threads wait: they get threads, though the pool is full, and few."""

import asyncio
import threading
import time
from functools import partial

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest
from asgiref.sync import sync_to_async
from framework_doubles import Channel, frameworks, thread_name, until
from patience import PATIENCE_SECONDS

from uvicorn.applications.sensitive import for_request
from uvicorn.bridge.lasting_lease import LastingLease
from uvicorn.bridge.work import Work, current_work, nested_below
from uvicorn.errors import ChannelClosed, ChannelFull

run_sync = anyio.to_thread.run_sync


@frameworks(threads=2, queue_size=2)
async def test_a_full_pool_does_not_wait_for_what_its_threads_wait_for(made):
    """A pool that was full of calls of `from_thread.run` waited for a thread for what these handed to one."""
    work = made.request()

    async def inner():
        return await run_sync(thread_name)

    def outer():
        return anyio.from_thread.run(inner)

    names = await asyncio.gather(*(run_sync(outer) for _ in range(4)))
    assert len(names) == 4
    assert work.is_refused is False


async def nested(depth=1):
    """Make calls each of which waits in its thread for the next one."""
    loop = asyncio.get_running_loop()

    def wait():
        return asyncio.run_coroutine_threadsafe(nested(depth - 1), loop).result(PATIENCE_SECONDS)

    return await asyncio.to_thread(wait) if depth else await asyncio.to_thread(thread_name)


@pytest.mark.parametrize("late", [False, True], ids=["in the application's pool", "in a pool of their own"])
def test_a_background_task_whose_thread_waits_for_a_call_gets_an_answer(late):
    """With two threads, or one for background tasks, a task waited for ever for what it had begun itself."""

    @frameworks(threads=2, late=late)
    async def test(made):
        made.request().is_answered = True
        assert await nested(1)
        names = await asyncio.gather(*(nested(3) for _ in range(4)))
        assert len(names) == 4
        assert not made.threads.behind

    test()


@frameworks(threads=3)
async def test_many_calls_for_which_one_thread_waits_have_few_threads(made):
    """One `def` endpoint made a thread for each of a thousand calls, and a view of Django's a connection for each."""
    made.request()
    lock, active, most = threading.Lock(), 0, 0

    def note(change):
        nonlocal active, most
        with lock:
            active += change
            most = max(most, active)

    def leaf():
        note(1)
        time.sleep(0)
        note(-1)

    async def many(depth):
        await asyncio.gather(*(run_sync(partial(outer, depth - 1) if depth else leaf) for _ in range(40)))

    def outer(depth):
        note(1)
        anyio.from_thread.run(many, depth)
        note(-1)

    await run_sync(outer, 0)
    assert most <= 3 + 1
    await asyncio.gather(*(run_sync(outer, 1) for _ in range(3)))
    assert most <= 3 + 3 + 3  # each thread of the pool waits, and each of the extra ones of these


@frameworks(threads=1)
async def test_calls_that_wait_for_their_siblings_may_be_taken_back_or_dropped(made):
    work = made.request()
    ran, tasks = [], []

    async def many():
        tasks.append(asyncio.ensure_future(run_sync(made.block())))
        await until(lambda: made.extra.busy)
        for number in range(4):
            make = asyncio.to_thread if number % 2 else run_sync
            tasks.append(asyncio.ensure_future(make(ran.append, number)))
        await asyncio.sleep(0.001)
        for task in tasks[1:3]:
            task.cancel()
        await asyncio.gather(*tasks[1:3], return_exceptions=True)
        work.channel.closed = True
        made.release()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = await run_sync(anyio.from_thread.run, many)
    assert [type(each).__name__ for each in found] == ["bool", *["CancelledError"] * 2, *["ChannelClosed"] * 2]
    assert ran == []


@frameworks(threads=1)
async def test_calls_that_wait_for_their_siblings_fail_in_time_and_when_their_client_leaves(made):
    """They waited for as long as the sibling took, which might have waited for them."""
    work, other = made.request(), Work(made.threads, Channel())

    async def many():
        first = asyncio.ensure_future(run_sync(made.block()))
        await until(lambda: made.extra.busy)
        nest, late = nested_below.get(), asyncio.ensure_future(run_sync(int))
        current_work.set(other)
        left = asyncio.ensure_future(run_sync(int))
        await until(lambda: len(nest.waiting or ()) == 2)
        made.threads.expire(0.0)
        other.channel.closed = True
        made.threads.drop_left(other)
        with pytest.raises(ChannelClosed):
            await left
        made.threads.expire(time.monotonic() + 1)
        with pytest.raises(ChannelFull):
            await late
        assert (work.is_refused, other.is_refused, made.refused) == (True, False, 1)
        made.release()
        return await first

    assert await run_sync(anyio.from_thread.run, many)


@frameworks(threads=1)
async def test_calls_that_are_not_refused_get_a_thread_when_their_sibling_may_wait_for_them(made):
    made.request().is_answered = True

    async def many():
        is_done, nest = asyncio.Event(), nested_below.get()

        async def last():
            await run_sync(int)
            is_done.set()

        first = asyncio.ensure_future(run_sync(anyio.from_thread.run, is_done.wait))
        await until(lambda: made.extra.busy)
        second = asyncio.ensure_future(last())
        await until(lambda: nest.waiting)
        made.threads.expire(time.monotonic() + 1)
        await asyncio.gather(first, second)

    await run_sync(anyio.from_thread.run, many)


@frameworks()
async def test_calls_at_start_up_that_wait_for_calls_get_an_answer(made):
    """As many as there are threads aside waited for ever for threads aside."""
    names = await asyncio.gather(*(nested(2) for _ in range(6)))
    assert len(names) == 6


@frameworks(threads=1)
async def test_thread_sensitive_code_for_which_the_last_thread_waits_gets_another(made):
    made.request()

    async def inner():
        async with for_request(made.threads, lambda: None):
            return [await sync_to_async(thread_name)() for _ in range(2)]

    assert await run_sync(anyio.from_thread.run, inner) == ["extra-1", "extra-1"]
    current_work.set(None)
    lease = LastingLease(made.aside, made.outbox, extra=made.extra)

    async def outside():
        return await asyncio.wrap_future(lease.submit(thread_name))

    assert len(await asyncio.gather(*(run_sync(anyio.from_thread.run, outside) for _ in range(3)))) == 3
    lease.release()
    await until(lambda: not any(pool.busy for pool in made.pools))
