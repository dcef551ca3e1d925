"""A lease: one thread of the pool for all synchronous calls of one request."""

import asyncio
import threading

import pytest
from bridge_doubles import on_loop, until_async

from uvicorn.bridge.lease import Lease
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.errors import ChannelFull


def pool_of(threads, queue_size=8):
    return ConsumerPool(threads, queue_size, asyncio.get_running_loop().call_soon, name="lease")


async def run(lease, function, *args):
    return await asyncio.get_running_loop().run_in_executor(lease, function, *args)


@on_loop
async def test_all_calls_of_a_lease_run_in_one_thread_and_others_wait_for_it():
    pool = pool_of(1)
    first, second = Lease(pool), Lease(pool)
    idents = [await run(first, threading.get_ident) for _ in range(3)]
    assert len(set(idents)) == 1
    waiting = asyncio.ensure_future(run(second, threading.get_ident))
    await until_async(lambda: pool.queued == 1)
    assert "1 waiting" in repr(pool)
    first.release()
    assert await waiting == idents[0]
    second.release()
    await until_async(lambda: not pool.busy)
    pool.stop()


@on_loop
async def test_an_error_comes_back_and_the_thread_goes_on():
    pool = pool_of(1)
    lease = Lease(pool)
    with pytest.raises(ValueError, match="invalid literal"):
        await run(lease, int, "x")
    assert await run(lease, int, "7") == 7
    lease.release()
    pool.stop()


@on_loop
async def test_a_lease_that_was_never_used_takes_no_thread():
    pool = pool_of(1)
    Lease(pool).release()
    assert (pool.busy, pool.queued) == (0, 0)
    pool.stop()


@on_loop
async def test_a_lease_that_is_over_takes_no_calls():
    pool = pool_of(1)
    lease = Lease(pool)
    lease.release()
    with pytest.raises(RuntimeError, match="the request is over"):
        lease.submit(int)
    pool.stop()


@on_loop
async def test_a_lease_that_waits_is_taken_back_when_it_is_released_or_late():
    pool = pool_of(1)
    first, second, third = Lease(pool), Lease(pool), Lease(pool)
    await run(first, int)
    second.submit(int)
    future = third.submit(int)
    second.release()
    assert pool.queued == 1
    for job in pool.expire(float("inf")):
        job.expire()
    with pytest.raises(ChannelFull, match="in time"):
        future.result(0)
    first.release()
    await until_async(lambda: not pool.busy)
    pool.stop()


@on_loop
async def test_no_lease_is_given_when_the_pool_and_its_queue_are_full():
    pool = pool_of(1, queue_size=0)
    lease = Lease(pool)
    await run(lease, int)
    with pytest.raises(ChannelFull):
        Lease(pool)
    lease.release()
    await until_async(lambda: not pool.busy)
    Lease(pool).release()
    pool.stop()
