"""anyio's calls in our pools that are cancelled, or whose clients have left."""

import asyncio
import threading
import time

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from framework_doubles import Channel, frameworks, until, until_runs
from patience import PATIENCE_SECONDS

from uvicorn.bridge.work import Work, current_work, nested_below
from uvicorn.errors import ChannelClosed

run_sync = anyio.to_thread.run_sync


@frameworks(threads=1)
async def test_a_queued_call_that_is_cancelled_never_runs(made):
    made.request()
    running = asyncio.ensure_future(run_sync(made.block()))
    await until(lambda: made.main.busy)
    ran = []
    with anyio.CancelScope() as scope:
        asyncio.get_running_loop().call_later(0.01, scope.cancel)
        await run_sync(ran.append, 1)
    assert scope.cancelled_caught
    task = asyncio.ensure_future(run_sync(ran.append, 2))
    await until(lambda: made.main.queued)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    made.release()
    await running
    await run_sync(int)
    assert (ran, made.threads.in_flight) == ([], 0)


@frameworks(threads=1)
async def test_a_running_call_is_waited_for_and_the_cancellation_comes_after_it(made):
    made.request()
    ended = []

    def slow():
        started.set()
        release.wait(PATIENCE_SECONDS)
        return "done"

    started, release = threading.Event(), threading.Event()
    with anyio.CancelScope() as scope:

        def cancel():
            if started.is_set():
                scope.cancel()
                loop.call_later(0.01, release.set)
            else:
                loop.call_later(0.001, cancel)

        loop = asyncio.get_running_loop()
        cancel()
        ended.append(await run_sync(slow))
        await anyio.sleep_forever()
    assert (ended, scope.cancelled_caught) == (["done"], True)


@frameworks(threads=1)
async def test_a_call_that_may_be_abandoned_is(made):
    made.request()
    block = made.block()

    async def cancel():
        await until_runs(made.main)
        scope.cancel()

    with anyio.CancelScope() as scope:
        cancelling = asyncio.ensure_future(cancel())
        await run_sync(block, abandon_on_cancel=True)
    await cancelling
    assert scope.cancelled_caught
    assert made.main.busy == 1
    made.release()
    await until(lambda: not made.main.busy)


@frameworks(threads=1)
async def test_a_task_that_was_cancelled_before_it_began_calls_nothing(made):
    made.request()
    ran = []

    async def call():
        asyncio.current_task().cancel()
        await run_sync(ran.append, 1)

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(call())
    await run_sync(int)
    assert ran == []


@frameworks(threads=1)
async def test_an_exit_runs_though_its_task_was_cancelled(made):
    made.request()
    running = asyncio.ensure_future(run_sync(made.block()))
    await until(lambda: made.main.busy)
    ran = threading.Event()

    async def leave():
        with anyio.CancelScope(shield=True):
            await run_sync(ran.set)

    task = asyncio.ensure_future(leave())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await run_sync(ran.wait, PATIENCE_SECONDS, limiter=anyio.CapacityLimiter(1))
    made.release()
    await running


@frameworks(threads=1)
async def test_the_queued_calls_of_a_client_that_has_left_never_run(made):
    work = made.request()
    running = asyncio.ensure_future(run_sync(made.block()))
    await until(lambda: made.main.busy)
    ran = []
    waiting = asyncio.ensure_future(run_sync(ran.append, 1))
    closing = asyncio.ensure_future(run_sync(Closing(ran).close))
    current_work.set(Work(made.threads, Channel()))
    other = asyncio.ensure_future(run_sync(ran.append, 3))
    await until(lambda: made.main.queued == 2)
    made.threads.drop_left(work)
    work.channel.closed = True
    made.threads.drop_left(work)
    with pytest.raises(ChannelClosed):
        await waiting
    made.release()
    await asyncio.gather(running, closing, other)
    assert sorted(ran) == [2, 3]


def block_while(is_busy):
    while is_busy():
        time.sleep(0)


async def cancelled_as_its_turn_comes(first, is_busy, is_waiting, release):
    """Cancel a call by its scope in the very turn of the loop in which the one that it waits for is seen to end."""
    task = asyncio.ensure_future(run_sync(first))
    await until(is_busy)
    scope = anyio.CancelScope()

    async def second():
        with scope:
            return await run_sync(int)

    waiting = asyncio.ensure_future(second())
    await until(is_waiting)
    release()
    block_while(is_busy)  # the loop learns of the end in its next turn
    scope.cancel()
    await task
    await waiting


@frameworks(threads=1)
async def test_a_call_of_a_background_task_that_is_cancelled_as_its_turn_comes_ends(made):
    """It was dropped, and its task waited for its end, shielded, for ever."""
    made.request().is_answered = True
    busy, waiting = (lambda: made.main.busy), (lambda: made.threads.behind)
    await cancelled_as_its_turn_comes(made.block(), busy, waiting, made.release)


@frameworks(threads=1)
async def test_a_call_for_which_a_thread_waits_that_is_cancelled_as_its_turn_comes_ends(made):
    """It was dropped, and so its task and that thread waited for ever."""
    made.request()

    async def many():
        nest = nested_below.get()
        await cancelled_as_its_turn_comes(made.block(), lambda: made.extra.busy, lambda: nest.waiting, made.release)

    await run_sync(anyio.from_thread.run, many)


class Closing:
    def __init__(self, ran):
        self.ran = ran

    def close(self):
        self.ran.append(2)
