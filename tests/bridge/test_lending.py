"""Threads that leases keep and do not use are lent to what waits for one."""

import asyncio
import contextvars
import os
import random
import threading

import pytest
from bridge_doubles import on_loop, until_async
from patience import PATIENCE_SECONDS
from test_lease import Held, know, lease_on, pool_of, run, sync_send

from uvicorn.bridge import lending
from uvicorn.bridge.framework_calls import FrameworkPools, FrameworkThreads
from uvicorn.bridge.lease import Lease
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.bridge.thread_call import ThreadCall
from uvicorn.bridge.waits import blocking
from uvicorn.bridge.work import Nest, Work, current_work, nested_below
from uvicorn.errors import ChannelFull

ident = threading.get_ident


@pytest.fixture
def at_once(monkeypatch):
    """Have a thread count as idle as soon as it is."""
    monkeypatch.setattr(lending, "IDLE_SECONDS", 0.0)


@pytest.fixture
def only_when_asked(monkeypatch):
    """Have no thread count as idle for long."""
    monkeypatch.setattr(lending, "IDLE_SECONDS", 1e6)


def thread_name():
    return threading.current_thread().name


class Blocked(Held):
    """Another one, whose costs are its own."""


def threads_on(pool):
    """Return the threads of an application, and a function that submits a call for a request."""
    loop = asyncio.get_running_loop()
    shared = FrameworkPools(*(ConsumerPool(4, 0, loop.call_soon, name=name) for name in ("aside", "extra")))
    threads = FrameworkThreads(pool, shared, Outbox(loop), lambda: None)

    def call(function, work):
        future = loop.create_future()
        threads.submit(ThreadCall(function, (), contextvars.copy_context(), future, threads, work))
        return future

    return threads, shared, call


async def end(pool, *leases):
    for lease in leases:
        lease.release()
    await until_async(lambda: not pool.busy)
    assert (pool.hosts, pool.leased, pool.queued) == ([], 0, 0)
    pool.stop()


@on_loop
async def test_streams_that_have_sent_their_signal_keep_no_thread_from_others(at_once):
    """Forty open streams of asynchronous Django views made every synchronous page of the worker answer 503."""
    know(sync_send)
    pool = pool_of(2)
    streams = [lease_on(pool) for _ in range(6)]
    for stream in streams:
        await run(stream, sync_send)
    threads, shared, call = threads_on(pool)
    assert await call(ident, Work(threads))
    page = lease_on(pool)
    thread = await run(page, ident)
    assert await run(page, ident) == thread
    for stream in streams:
        await run(stream, sync_send)  # as at its end
    assert not shared.extra.slots()
    await end(pool, page, *streams)


@on_loop
async def test_streams_that_have_used_their_thread_lend_it_and_get_it_back(at_once):
    pool = pool_of(2)
    streams = [lease_on(pool) for _ in range(6)]
    both = [Blocked(), Blocked()]  # at once, or the first thread might do all, which is lent as soon as it is idle
    running = [asyncio.ensure_future(run(stream, held)) for stream, held in zip(streams, both, strict=False)]
    for held in both:
        await until_async(held.began.is_set)
    for held in both:
        held.end.set()
    kept = [*await asyncio.gather(*running), *[await run(stream, ident) for stream in streams[2:]]]
    threads, _, call = threads_on(pool)
    assert len(set(kept)) == 2
    for _ in range(3):
        assert await call(ident, Work(threads)) in kept
        assert await asyncio.gather(*(run(stream, ident) for stream in streams)) == kept
    await end(pool, *streams)


@on_loop
async def test_streams_without_a_thread_are_not_looked_at(at_once, monkeypatch):
    """Each request that was refused cost a look at each open stream."""
    pool = pool_of(2)
    streams = [lease_on(pool) for _ in range(6)]
    for stream in streams:
        await run(stream, ident)
    looked, is_spare = [], lending.is_spare
    monkeypatch.setattr(lending, "is_spare", lambda host, now: looked.append(host) or is_spare(host, now))
    assert pool.spare() <= len(looked) <= 2
    await end(pool, *streams)


@on_loop
async def test_a_call_for_a_thread_that_was_lent_waits_for_it_and_goes_first(at_once):
    pool = pool_of(1)
    stream = lease_on(pool)
    thread = await run(stream, ident)
    threads, _, call = threads_on(pool)
    held, order = Blocked(), []
    first = call(held, Work(threads))
    await until_async(held.began.is_set)
    behind = call(lambda: order.append("queued"), Work(threads))
    back = asyncio.ensure_future(run(stream, lambda: order.append("pinned") or ident()))
    await until_async(lambda: pool.slots()[0].pinned)
    held.end.set()
    assert await first == await back == thread
    await behind
    assert order == ["pinned", "queued"]
    await end(pool, stream)


@on_loop
async def test_a_stay_in_a_thread_that_comes_back_is_not_measured_as_the_call_before_it(at_once):
    """The governor took what a request did in its thread, and waited there, for the cost of one function."""
    pool = pool_of(1)
    stream = lease_on(pool)
    await run(stream, ident)
    threads, _, call = threads_on(pool)
    assert stream.host.load.can_learn
    await call(ident, Work(threads))
    assert not stream.host.load.can_learn
    assert await run(stream, ident)
    await end(pool, stream)


@on_loop
async def test_a_request_that_asks_for_another_thread_gives_its_own(only_when_asked):
    """Views that awaited `asyncio.to_thread` waited for each other's threads until all got 503."""
    know(sync_send)
    pool = pool_of(2)
    threads, shared, call = threads_on(pool)

    async def request(number):
        lease, work = lease_on(pool), Work(threads)
        current_work.set(work)
        await run(lease, sync_send if number % 2 else ident)
        assert await call(ident, work)
        await run(lease, ident)
        lease.release()

    await asyncio.gather(*(asyncio.create_task(request(number)) for number in range(2)))
    assert not shared.extra.slots()
    await end(pool)


@on_loop
async def test_a_pool_without_a_queue_admits_what_an_idle_thread_can_do(at_once):
    pool = pool_of(1, queue_size=0)
    stream, page = lease_on(pool), lease_on(pool)
    await run(stream, ident)
    assert await run(page, ident)
    await end(pool, stream, page)


@on_loop
async def test_a_request_that_moves_looks_at_the_connections_of_its_new_thread(at_once):
    """A thread's connection may be old; Django looks at that where the request begins."""
    know(sync_send)
    pool = pool_of(1)
    looked = []
    outbox = Outbox(asyncio.get_running_loop())
    stream = Lease(pool, outbox, on_moved=lambda: looked.append(ident()))
    thread = await run(stream, sync_send)
    other = lease_on(pool)
    await run(other, ident)
    other.release()
    assert looked == []
    assert await run(stream, ident) == thread
    assert await run(stream, ident) == thread
    assert looked == [thread]
    await end(pool, stream)


@on_loop
async def test_an_exit_of_a_request_that_gave_its_thread_is_made_though_the_queue_is_full(at_once):
    know(sync_send)
    pool = pool_of(1, queue_size=1)
    stream = lease_on(pool)
    await run(stream, sync_send)
    threads, _, call = threads_on(pool)
    held = Blocked()
    calls = [call(held, Work(threads))]
    await until_async(held.began.is_set)
    calls.append(call(ident, Work(threads)))
    with pytest.raises(ChannelFull):
        call(ident, Work(threads))

    def close():
        return "closed"

    closed = asyncio.ensure_future(run(stream, close))
    await until_async(lambda: stream.host is not None)
    [host] = pool.hosts
    assert host.expire_calls(float("inf")) == 0
    assert host.must_run
    held.end.set()
    assert await closed == "closed"
    await asyncio.gather(*calls)
    await end(pool, stream)


@on_loop
async def test_what_a_call_in_a_lent_thread_waits_for_does_not_wait_for_that_thread(only_when_asked):
    """A call of the same request, in the very thread, would wait for a coroutine that uses the thread."""
    pool = pool_of(1)
    lease = lease_on(pool)
    thread = await run(lease, ident)
    threads, _, call = threads_on(pool)
    work, loop = Work(threads), asyncio.get_running_loop()
    work.lease = lease

    async def inner():
        nested_below.set(Nest())
        return await run(lease, ident)

    def outer():
        return ident(), asyncio.run_coroutine_threadsafe(inner(), loop)

    held = Blocked()
    found = call(lambda: (outer(), held())[0], work)
    await until_async(held.began.is_set)
    await until_async(lambda: pool.queued == 1)  # of another thread: not pinned to this one
    held.end.set()
    first, future = await found
    assert first == thread
    await asyncio.wrap_future(future)
    await end(pool, lease)


async def pinned_behind_a_wait(stream_calls):
    """Have a request make plain calls, then one that a thread waits for, while its thread is lent and waits.

    Returns: the names of the threads of the plain calls, and of the other one; that of the lent thread.
    """
    pool = pool_of(1)
    threads, shared, call = threads_on(pool)
    lease, loop = Lease(pool, threads.outbox, extra=shared.extra), asyncio.get_running_loop()
    own = await run(lease, thread_name)
    held, work, order = Blocked(), Work(threads), []
    work.lease = lease

    async def inner():
        nested_below.set(Nest())
        return await run(lease, lambda: order.append("nested") or thread_name())

    def outer():  # lent the thread of its own request
        held()
        with blocking("run_on_loop", inner, threads.outbox.loop_thread):
            return asyncio.run_coroutine_threadsafe(inner(), loop).result(PATIENCE_SECONDS)

    found = call(outer, work)
    await until_async(held.began.is_set)
    plain = [
        asyncio.ensure_future(run(lease, lambda number=number: order.append(number) or thread_name()))
        for number in range(stream_calls)
    ]
    await until_async(lambda: pool.slots()[0].pinned)
    held.end.set()
    try:
        nested = await found
        return [await each for each in plain], nested, own, order
    finally:
        await end(pool, lease)
        shared.extra.stop()


@on_loop
async def test_a_call_that_is_pinned_to_a_thread_that_waits_for_its_request_moves_with_what_follows(only_when_asked):
    """The first one was pinned, and the next one, for which that thread waited, met WrongSide."""
    names, nested, own, order = await pinned_behind_a_wait(2)
    assert own.startswith("lease")
    assert (names, nested) == (["extra-1"] * 2, "extra-1")
    assert order == [0, 1, "nested"]


@on_loop
async def test_a_request_whose_thread_waits_does_not_wait_for_that_thread_with_what_it_has_queued(only_when_asked):
    """Its first call waited for the only thread, and this for a call behind it: 503 after `queue_timeout`."""
    pool = pool_of(1)
    threads, shared, call = threads_on(pool)
    lease, loop = Lease(pool, threads.outbox, extra=shared.extra), asyncio.get_running_loop()
    held = Blocked()

    async def inner():
        nested_below.set(Nest())
        return await run(lease, thread_name)

    found = call(
        lambda: (held(), asyncio.run_coroutine_threadsafe(inner(), loop).result(PATIENCE_SECONDS)), Work(threads)
    )
    await until_async(held.began.is_set)
    first = asyncio.ensure_future(run(lease, thread_name))
    await until_async(lambda: pool.queued == 1)
    held.end.set()
    assert (await found)[1] == await first == "extra-1"
    await end(pool, lease)
    shared.extra.stop()


@on_loop
async def test_whatever_the_order_each_request_has_one_thread_and_nobody_waits(at_once):
    know(sync_send)
    pool = pool_of(3, queue_size=1000)
    threads, shared, call = threads_on(pool)
    numbers = random.Random(int(os.environ.get("SEED", "7")))

    async def request():
        lease, work, used = lease_on(pool), Work(threads), set()
        current_work.set(work)
        for _ in range(numbers.randrange(1, 12)):
            kind = numbers.randrange(5)
            if kind == 0:
                await run(lease, sync_send)
            elif kind == 1:
                await call(ident, work)
            elif kind == 2:
                await asyncio.sleep(0)
            elif kind == 3:
                task = asyncio.ensure_future(run(lease, ident))
                await asyncio.sleep(0)
                task.cancel()
            else:
                used.add(await run(lease, ident))
        lease.release()
        assert len(used) <= 1

    await asyncio.gather(*(asyncio.create_task(request()) for _ in range(200)))
    assert not shared.extra.slots()
    await end(pool)
