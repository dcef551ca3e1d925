"""A lease: one thread of the pool for all synchronous calls of one request."""

import asyncio
import threading

import pytest
from bridge_doubles import on_loop, until_async
from patience import PATIENCE_SECONDS
from pool_doubles import parked

from uvicorn.bridge import lease as lease_module
from uvicorn.bridge import run_on_loop
from uvicorn.bridge.costs import cost_of
from uvicorn.bridge.crossing import Crossing, install
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.errors import ChannelFull, WrongSide

pytestmark = pytest.mark.usefixtures("no_lending")


def pool_of(threads, queue_size=8):
    return ConsumerPool(threads, queue_size, asyncio.get_running_loop().call_soon, name="lease")


def lease_on(pool):
    return lease_module.Lease(pool, Outbox(asyncio.get_running_loop()))


async def run(lease, function, *args):
    return await asyncio.get_running_loop().run_in_executor(lease, function, *args)


@on_loop
async def test_all_calls_of_a_lease_run_in_one_thread_and_others_wait_for_it():
    pool = pool_of(1)
    first, second = lease_on(pool), lease_on(pool)
    idents = [await run(first, threading.get_ident) for _ in range(3)]
    assert len(set(idents)) == 1
    waiting = asyncio.ensure_future(run(second, threading.get_ident))
    await until_async(lambda: pool.queued == 1)
    await until_async(lambda: "1 waiting" in repr(pool))  # the call has ended a moment before its thread waits
    first.release()
    assert await waiting == idents[0]
    second.release()
    await until_async(lambda: not pool.busy)
    pool.stop()


@on_loop
async def test_an_error_comes_back_and_the_thread_goes_on():
    pool = pool_of(1)
    lease = lease_on(pool)
    with pytest.raises(ValueError, match="invalid literal"):
        await run(lease, int, "x")
    assert await run(lease, int, "7") == 7
    lease.release()
    pool.stop()


@on_loop
async def test_a_call_is_in_the_numbers_of_its_function_unless_it_was_never_made():
    def used():
        return "used"

    pool = pool_of(1)
    lease, other = lease_on(pool), lease_on(pool)
    assert await run(lease, used) == "used"
    waiting = asyncio.ensure_future(run(other, used))
    await until_async(lambda: pool.queued == 1)
    other.release()
    await asyncio.wait([waiting])
    tally = cost_of(used).tally
    assert (tally.calls, sum(tally.waits), tally.errors) == (1, 1, 0)
    assert min(tally.run_seconds, tally.wait_seconds) > 0
    lease.release()
    pool.stop()


@on_loop
async def test_a_lease_that_was_never_used_takes_no_thread():
    pool = pool_of(1)
    lease_on(pool).release()
    assert (pool.busy, pool.queued) == (0, 0)
    pool.stop()


@on_loop
async def test_a_lease_that_is_over_takes_no_calls():
    pool = pool_of(1)
    lease = lease_on(pool)
    lease.release()
    with pytest.raises(RuntimeError, match="the request is over"):
        lease.submit(int)
    pool.stop()


@on_loop
async def test_a_lease_that_waits_is_taken_back_when_it_is_released_or_late():
    pool = pool_of(1)
    first, second, third = lease_on(pool), lease_on(pool), lease_on(pool)
    await run(first, int)
    second.submit(int)
    future = third.submit(int)
    second.release()
    assert pool.queued == 1
    for job in pool.expire(float("inf")):
        job.expire()
    with pytest.raises(ChannelFull, match="in time"):
        await future
    first.release()
    await until_async(lambda: not pool.busy)
    pool.stop()


@on_loop
async def test_no_lease_is_given_when_the_pool_and_its_queue_are_full():
    pool = pool_of(1, queue_size=0)
    lease, other = lease_on(pool), lease_on(pool)
    await run(lease, int)
    with pytest.raises(ChannelFull):
        await run(other, int)
    lease.release()
    await until_async(lambda: parked(pool) == 1)  # between its job and its rest a thread counts as busy once more
    assert await run(other, int, "7") == 7
    other.release()
    pool.stop()


# ---- one thread, several requests ----


def sync_send():
    """Be what Django runs for the receivers of a signal."""
    return threading.get_ident()


sync_send.__module__, sync_send.__qualname__ = "django.dispatch.dispatcher", "Signal.asend.<locals>.sync_send"


@pytest.fixture
def computing(monkeypatch):
    """Have it look as if the threads waited for permission to compute."""
    monkeypatch.setattr(lease_module, "_is_computing", lambda pool: True)


def know(function, seconds=0.00001):
    """Have it known that calls of a function are short, or how long they compute."""
    load = cost_of(function).load
    for _ in range(8):
        load.learn(seconds, seconds, True)
    return load


class Held:
    """A call that blocks in its thread until the test says so."""

    def __init__(self):
        self.began, self.end = threading.Event(), threading.Event()

    def __call__(self):
        self.began.set()
        assert self.end.wait(PATIENCE_SECONDS)
        return threading.get_ident()


@on_loop
async def test_a_request_that_begins_with_a_signal_shares_a_thread_that_nobody_owns(computing):
    know(sync_send)
    pool = pool_of(1)
    first, second = lease_on(pool), lease_on(pool)
    thread = await run(first, sync_send)
    assert await run(second, sync_send) == thread  # it does not wait for the first one's end
    # Now the first one owns the thread: the second waits until it is over.
    assert await run(first, threading.get_ident) == thread
    waiting = asyncio.ensure_future(run(second, threading.get_ident))
    first.release()
    assert await waiting == thread
    second.release()
    await until_async(lambda: not pool.busy)
    assert (pool.hosts, pool.leased) == ([], 0)
    pool.stop()


@on_loop
async def test_an_owner_that_is_idle_does_not_keep_others_out_for_ever(computing):
    know(sync_send)
    pool = pool_of(1)
    streaming, other = lease_on(pool), lease_on(pool)
    await run(streaming, sync_send)
    await run(other, sync_send)
    await run(streaming, threading.get_ident)
    assert await run(other, int, "7") == 7  # though the first one is not over
    assert await run(streaming, int, "8") == 8
    other.release()
    streaming.release()
    await until_async(lambda: not pool.busy)
    pool.stop()


@on_loop
async def test_queued_requests_that_begin_with_a_signal_come_along_and_others_come_first(computing):
    load = know(sync_send)
    pool = pool_of(1)
    load.is_short = False
    first = lease_on(pool)
    await run(first, sync_send)
    queued = lease_on(pool)
    waiting = asyncio.ensure_future(run(queued, sync_send))
    await until_async(lambda: pool.queued == 1)
    load.is_short = True
    newest = lease_on(pool)
    thread = await run(newest, sync_send)
    assert await waiting == thread
    assert pool.queued == 0
    other = lease_on(pool)
    job = asyncio.ensure_future(run(other, int, "7"))  # wants a thread of its own
    await until_async(lambda: pool.queued == 1)
    last = lease_on(pool)
    behind = asyncio.ensure_future(run(last, sync_send))
    await until_async(lambda: pool.queued == 2)
    for lease in (first, queued, newest):
        lease.release()
    assert await job == 7
    other.release()
    assert await behind
    last.release()
    await until_async(lambda: not pool.busy)
    pool.stop()


@on_loop
async def test_permission_to_compute_is_taken_for_each_call_and_short_ones_need_none():
    know(sync_send)
    pool = pool_of(4)
    pool.set_limit(1.0)
    computing, waiting, short = Held(), Held(), lease_on(pool)
    know(computing, 0.005)  # or it would be known after some calls that it waits
    first, second = lease_on(pool), lease_on(pool)
    await run(second, sync_send)
    running = asyncio.ensure_future(run(first, computing))
    await until_async(computing.began.is_set)
    held = asyncio.ensure_future(run(second, waiting))
    await until_async(lambda: pool.held == 1)
    assert await run(short, sync_send)
    assert not waiting.began.is_set()
    computing.end.set()
    await running
    await until_async(waiting.began.is_set)
    waiting.end.set()
    await held
    for lease in (first, second, short):
        lease.release()
    await until_async(lambda: not pool.busy)
    pool.stop()


@on_loop
async def test_hosts_that_ask_and_jobs_that_are_held_do_not_wait_for_each_other():
    """All threads hosted leases that asked for permission, and jobs that were held came first: nobody went on."""
    pool = pool_of(2, queue_size=100)
    pool.set_limit(0.75)
    leases = [lease_on(pool) for _ in range(8)]

    async def use(lease):
        for _ in range(5):
            await run(lease, sum, range(50_000))
        lease.release()

    await asyncio.gather(*map(use, leases))
    await until_async(lambda: not pool.busy)
    pool.stop()


@on_loop
async def test_the_number_of_guests_is_bounded_and_their_wait_too(computing):
    know(sync_send)
    pool = pool_of(1, queue_size=1)
    owner, guest = lease_on(pool), lease_on(pool)
    await run(owner, sync_send)
    await run(guest, sync_send)
    with pytest.raises(ChannelFull):
        await run(lease_on(pool), int)
    held = Held()
    running = asyncio.ensure_future(run(owner, held))
    await until_async(held.began.is_set)
    waiting = asyncio.ensure_future(run(guest, int))
    await until_async(lambda: guest.latest.cost.name == "builtins.int")
    [host] = pool.hosts
    assert host.expire_calls(float("-inf")) == 0
    assert host.expire_calls(float("inf")) == 1
    with pytest.raises(ChannelFull, match="in time"):
        await waiting
    held.end.set()
    await running
    owner.release()
    guest.release()
    await until_async(lambda: not pool.busy)
    pool.stop()


@on_loop
async def test_what_a_waiting_thread_waits_for_does_not_wait_for_it():
    """Thread-sensitive code below `run_on_loop` waited for its own thread for ever."""
    loop = asyncio.get_running_loop()
    pool = pool_of(1)
    crossing = Crossing(Outbox(loop), pool, {})
    install(crossing)
    lease = lease_on(pool)

    async def inner():
        return await run(lease, int)

    with pytest.raises(WrongSide) as raised:
        await run(lease, lambda: run_on_loop(inner()))
    text = str(raised.value)
    assert text.count("test_lease.py:") == 2
    assert "this would wait for ever" in text
    assert "hands builtins.int to the same thread" in text
    lease.release()
    install(None)
    pool.stop()


@on_loop
async def test_a_loop_of_another_thread_gets_what_a_lease_calls_and_that_of_its_own_thread_an_error():
    """Thread-sensitive code below `asyncio.run` in its own thread waited for itself for ever."""
    pool = pool_of(2)
    lease = lease_on(pool)
    thread = await run(lease, threading.get_ident)

    def elsewhere():
        return asyncio.run(run(lease, threading.get_ident)), asyncio.run(gathered(run(lease, int, "x")))

    async def gathered(awaitable):
        return await asyncio.gather(awaitable, return_exceptions=True)

    found, [error] = await asyncio.get_running_loop().run_in_executor(None, elsewhere)
    assert found == thread
    assert type(error) is ValueError
    with pytest.raises(WrongSide) as raised:
        await run(lease, lambda: asyncio.run(run(lease, int)))
    text = str(raised.value)
    assert text.count("test_lease.py:") == 2
    assert "hands builtins.int to the same thread" in text
    lease.release()
    await until_async(lambda: not pool.busy)
    pool.stop()
