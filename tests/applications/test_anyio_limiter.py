"""`current_default_thread_limiter()`: the truth about the pool, and a bound if the application wants one."""

import asyncio
import math
from collections import OrderedDict
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest
from framework_doubles import frameworks, until, until_runs

from uvicorn.bridge.work import Work, current_work
from uvicorn.errors import ChannelClosed, ChannelFull, ServerStopping

run_sync = anyio.to_thread.run_sync
limiter_of: Any = anyio.to_thread.current_default_thread_limiter  # ours has more to ask


async def with_the_only_token(made):
    """Have a call take the one token that there is, and return it; the call ends when `made.release` is called."""
    limiter_of().total_tokens = 1
    call = asyncio.ensure_future(run_sync(made.block()))
    await until_runs(made.main)
    return call


@frameworks(threads=2)
async def test_it_tells_what_runs_and_what_waits(made):
    made.request()
    limiter = limiter_of()
    assert limiter is limiter_of()
    assert isinstance(limiter, anyio.CapacityLimiter)
    assert (limiter.total_tokens, limiter.borrowed_tokens, limiter.available_tokens) == (2, 0, 2)
    calls = [asyncio.ensure_future(run_sync(made.block())) for _ in range(3)]
    await until(lambda: limiter.borrowed_tokens == 2)
    found = limiter.statistics()
    assert (found.borrowed_tokens, found.tasks_waiting, len(found.borrowers)) == (2, 1, 2)
    with pytest.raises(anyio.WouldBlock):
        limiter.acquire_nowait()
    made.release()
    await asyncio.gather(*calls)
    assert limiter.borrowed_tokens == 0


@frameworks(threads=4, queue_size=2)
async def test_fewer_tokens_bound_the_share_of_the_application_and_the_number_that_wait(made):
    work = made.request()
    limiter_of().total_tokens = 1
    running = 0
    most = 0

    def call():
        nonlocal running, most
        running += 1
        most = max(most, running)
        running -= 1

    first = asyncio.ensure_future(run_sync(made.block()))
    await until_runs(made.main)
    waiting = [asyncio.ensure_future(run_sync(call)) for _ in range(2)]
    await until(lambda: limiter_of().statistics().tasks_waiting == 2)
    with pytest.raises(ChannelFull):
        await run_sync(call)
    assert work.is_refused
    assert (made.main.busy, made.main.queued) == (1, 0)
    made.release()
    await asyncio.gather(first, *waiting)
    assert most == 1
    limiter_of().total_tokens = math.inf
    await asyncio.gather(*(run_sync(call) for _ in range(3)))
    assert made.threads.in_flight == 0


@frameworks(threads=4)
async def test_who_waits_for_a_token_for_too_long_is_refused_and_who_leaves_gives_way(made):
    made.request()
    first = await with_the_only_token(made)
    late = asyncio.ensure_future(run_sync(int))
    leaving = asyncio.ensure_future(run_sync(int))
    await until(lambda: limiter_of().statistics().tasks_waiting == 2)
    leaving.cancel()
    made.threads.expire(0.0)
    made.threads.expire(math.inf)
    with pytest.raises(ChannelFull, match="in time"):
        await late
    made.release()
    assert await first
    assert await run_sync(int) == 0
    assert made.threads.in_flight == 0


@frameworks(threads=4, queue_size=2)
async def test_a_place_in_front_of_the_tokens_is_free_again_however_its_call_ends(made):
    made.request()
    limiter = limiter_of()
    first = await with_the_only_token(made)

    async def fill():
        work = made.request()
        calls = [asyncio.ensure_future(run_sync(int)) for _ in range(2)]
        await until(lambda: limiter.statistics().tasks_waiting == 2)
        with pytest.raises(ChannelFull):
            await run_sync(int)
        return work, calls

    _, cancelled = await fill()
    for call in cancelled:
        call.cancel()
    await asyncio.wait(cancelled)
    _, expired = await fill()
    made.threads.expire(math.inf)
    work, left = await fill()
    work.channel.closed = True
    made.threads.drop_left(work)
    _, last = await fill()
    found = await asyncio.gather(*expired, *left, return_exceptions=True)
    assert [type(error) for error in found] == [ChannelFull] * 2 + [ChannelClosed] * 2
    made.release()
    assert await asyncio.gather(first, *last) == [True, 0, 0]
    assert (limiter.has_waiters, limiter._bound) == (False, 0)


@frameworks(threads=4)
async def test_who_waits_for_a_token_is_told_when_the_worker_leaves(made):
    made.request()
    limiter = limiter_of()
    first = await with_the_only_token(made)
    waiting = [asyncio.ensure_future(run_sync(int)), asyncio.ensure_future(limiter.acquire_on_behalf_of("somebody"))]
    await until(lambda: limiter.statistics().tasks_waiting == 2)
    made.threads.give_up("the worker is stopping")
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(error) for error in found] == [ServerStopping] * 2
    made.release()
    assert await first
    assert (limiter.borrowed_tokens, limiter.has_waiters, made.threads.in_flight) == (0, False, 0)


@frameworks(threads=4, queue_size=200)
async def test_who_waits_for_a_token_looks_at_nobody_else_who_does(made):
    """A thousand calls that waited cost half a million looks."""
    looks = 0

    class Waiters(OrderedDict):
        def values(self):
            nonlocal looks
            looks += len(self)
            return super().values()

        items = __iter__ = None  # nor in another way

    made.request()
    limiter = limiter_of()
    first = await with_the_only_token(made)
    limiter._waiters = Waiters()
    waiting = [asyncio.ensure_future(run_sync(int)) for _ in range(100)]
    await until(lambda: limiter.statistics().tasks_waiting == 100)
    assert looks == 0
    limiter._waiters = OrderedDict(OrderedDict.items(limiter._waiters))
    made.release()
    await asyncio.gather(first, *waiting)


@frameworks(threads=4, queue_size=2)
async def test_background_tasks_and_exits_that_wait_for_a_token_are_made_however_many_and_late(made):
    """With one token, 21 of 30 background tasks were never called."""
    work = made.request()
    first = await with_the_only_token(made)
    ran = []

    async def leave():
        with anyio.CancelScope(shield=True):
            await run_sync(ran.append, "exit")

    exits = [asyncio.create_task(leave()) for _ in range(5)]
    await until(lambda: limiter_of().statistics().tasks_waiting == 5)
    work.is_answered = True
    tasks = [asyncio.ensure_future(run_sync(ran.append, number)) for number in range(10)]
    await until(lambda: limiter_of().statistics().tasks_waiting == 15)
    made.threads.expire(math.inf)
    made.threads.drop_left(work)
    made.release()
    await asyncio.gather(first, *exits, *tasks)
    assert ran == ["exit"] * 5 + list(range(10))
    assert made.refused == 0


@frameworks(threads=4)
async def test_calls_of_a_client_that_left_get_no_token_and_later_ones_no_thread(made):
    work = made.request()
    first = await with_the_only_token(made)
    ran = []
    waiting = asyncio.ensure_future(run_sync(ran.append, "waited"))
    await until(lambda: limiter_of().statistics().tasks_waiting == 1)
    work.channel.closed = True
    made.threads.drop_left(work)
    with pytest.raises(ChannelClosed):
        await waiting
    with pytest.raises(ChannelClosed):
        await run_sync(ran.append, "for a token")
    made.release()
    await first
    for call in (run_sync(ran.append, "later"), asyncio.to_thread(ran.append, "later")):
        with pytest.raises(ChannelClosed):
            await call
    await run_sync(ran.append, "exit", limiter=anyio.CapacityLimiter(1))
    assert ran == ["exit"]
    assert (made.threads.in_flight, limiter_of().statistics().tasks_waiting) == (0, 0)


@frameworks(threads=2)
async def test_a_token_does_not_wait_for_itself(made):
    made.request().is_answered = True
    limiter_of().total_tokens = 1
    assert await run_sync(anyio.from_thread.run, run_sync, int) == 0


@frameworks(threads=2)
async def test_tokens_that_are_borrowed_by_hand_count(made):
    made.request()
    limiter = limiter_of()
    async with limiter:
        assert limiter.borrowed_tokens == 1
        with pytest.raises(RuntimeError, match="already holding"):
            limiter.acquire_nowait()
        limiter.acquire_on_behalf_of_nowait("another")
        waiting = asyncio.ensure_future(run_sync(int))
        await until(lambda: limiter.statistics().tasks_waiting == 1)
        by_hand = asyncio.ensure_future(limiter.acquire_on_behalf_of("a third"))
        await until(lambda: limiter.statistics().tasks_waiting == 2)
        limiter.release_on_behalf_of("another")
        assert await waiting == 0
        await by_hand
        limiter.release_on_behalf_of("a third")
    with pytest.raises(RuntimeError, match="isn't holding"):
        limiter.release()
    assert await run_sync(int, limiter=limiter) == 0
    assert (limiter.is_open, limiter.borrowed_tokens) == (True, 0)


@frameworks(threads=1)
async def test_wrong_numbers_are_refused(made):
    with pytest.raises(TypeError):
        limiter_of().total_tokens = 1.5
    with pytest.raises(ValueError, match="must be >= 0"):
        limiter_of().total_tokens = -1


@frameworks(threads=2)
async def test_calls_outside_of_requests_wait_for_a_token_and_are_not_refused(made):
    made.request().end()
    limiter_of().total_tokens = 1
    calls = [asyncio.ensure_future(run_sync(made.block())) for _ in range(20)]
    await until(lambda: limiter_of().statistics().tasks_waiting == 19)
    made.threads.expire(math.inf)
    made.release()
    assert all(await asyncio.gather(*calls))
    current_work.set(Work(made.threads))
    assert await run_sync(int) == 0
