"""Leases of sockets and of what is no request: one thread for each, shared with others, few of the pool's."""

import asyncio
import threading

import pytest
from bridge_doubles import on_loop, until_async
from test_lease import Held, lease_on, pool_of, run

from uvicorn.bridge.lasting_lease import LastingLease
from uvicorn.bridge.outbox import Outbox
from uvicorn.errors import ChannelFull

pytestmark = pytest.mark.usefixtures("no_lending")


async def run_alone(pool, lease):
    """Return the thread of a call that is made when all others have come to their end."""
    await until_async(lambda: all(host.is_idle for host in pool.shared_hosts))
    return await run(lease, threading.get_ident)


def lasting(pool, most=2):
    return LastingLease(pool, Outbox(asyncio.get_running_loop()), most)


@on_loop
async def test_many_keep_one_thread_each_and_hold_few_of_the_pools():
    pool = pool_of(8)
    leases = [lasting(pool) for _ in range(30)]

    async def use(lease):
        return {await run(lease, threading.get_ident) for _ in range(5)}

    found = await asyncio.gather(*map(use, leases))
    assert [len(idents) for idents in found] == [1] * 30
    assert len(set.union(*found)) == len(pool.shared_hosts) <= 2
    for lease in leases:
        lease.release()
    await until_async(lambda: not pool.busy)
    assert (pool.shared_hosts, pool.hosts, pool.leased) == ([], [], 0)
    pool.stop()


@on_loop
async def test_another_thread_is_taken_while_the_others_are_at_work():
    pool = pool_of(8)
    first, second, third = lasting(pool), lasting(pool), lasting(pool)
    held = Held()
    threads = {await run_alone(pool, first), await run_alone(pool, second)}
    assert len(threads) == 1
    running = asyncio.ensure_future(run(first, held))
    await until_async(held.began.is_set)
    assert await run(third, threading.get_ident) not in threads
    held.end.set()
    await running
    for lease in (first, second, third):
        lease.release()
    await until_async(lambda: not pool.busy)
    pool.stop()


@on_loop
async def test_another_thread_is_taken_when_the_others_have_four_each():
    pool = pool_of(8)
    leases = [lasting(pool) for _ in range(9)]
    found = [await run_alone(pool, lease) for lease in leases]
    assert [found.count(ident) for ident in dict.fromkeys(found)] == [5, 4]
    for lease in leases:
        lease.release()
    await until_async(lambda: not pool.busy)
    pool.stop()


@on_loop
async def test_none_is_the_owner_of_its_thread_and_keeps_others_out():
    pool = pool_of(8)
    first, second = lasting(pool, 1), lasting(pool, 1)
    await run(first, int)
    await run(second, int)
    [host] = pool.shared_hosts
    assert (host.owner, len(host.leases)) == (None, 2)
    first.release()
    assert await run(second, int, "7") == 7
    second.release()
    await until_async(lambda: not pool.busy)
    pool.stop()


@on_loop
async def test_requests_do_not_share_their_threads_and_are_not_refused_for_them():
    pool = pool_of(2, queue_size=1)
    socket, request = lasting(pool, 1), lease_on(pool)
    thread = await run(socket, threading.get_ident)
    assert await run(request, threading.get_ident) != thread
    assert len(pool.hosts) == len(pool.shared_hosts) == 1
    request.release()
    socket.release()
    await until_async(lambda: not pool.busy)
    pool.stop()


@on_loop
async def test_a_call_that_finds_no_thread_in_time_is_refused_and_a_later_one_is_made():
    pool = pool_of(1)
    request, socket = lease_on(pool), lasting(pool, 1)
    await run(request, int)
    both = [asyncio.ensure_future(run(socket, int)) for _ in range(2)]
    await until_async(lambda: pool.queued == 1)
    for job in pool.expire(float("inf")):
        job.expire()
    assert [type(error) for error in await asyncio.gather(*both, return_exceptions=True)] == [ChannelFull] * 2
    request.release()
    assert await run(socket, int, "7") == 7
    socket.release()
    await until_async(lambda: not pool.busy)
    pool.stop()


@on_loop
async def test_the_first_call_is_refused_when_the_pool_and_its_queue_are_full():
    pool = pool_of(1, queue_size=0)
    request, socket = lease_on(pool), lasting(pool, 1)
    await run(request, int)
    with pytest.raises(ChannelFull):
        await run(socket, int)
    request.release()
    await until_async(lambda: not pool.busy)
    pool.stop()


@on_loop
async def test_what_is_released_while_it_waits_for_a_thread_leaves_nobody_waiting():
    pool = pool_of(1)
    request, socket = lease_on(pool), lasting(pool, 1)
    await run(request, int)
    waiting = [asyncio.ensure_future(run(socket, int)) for _ in range(2)]
    await until_async(lambda: pool.queued == 1)
    socket.release()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError] * 2
    assert (pool.queued, pool.shared_hosts) == (0, [])
    request.release()
    await until_async(lambda: not pool.busy)
    pool.stop()
