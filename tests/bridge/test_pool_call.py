"""`run_in_pool`: from the loop to a thread."""

import asyncio
import contextvars
import functools
import threading
import traceback

import pytest
from bridge_doubles import until_async
from crossing_doubles import crossing, thread_name
from patience import PATIENCE_SECONDS
from pool_doubles import has_taken

from uvicorn import bridge
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pool_call import PoolCall
from uvicorn.errors import ChannelFull, ServerStopping

VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")


@crossing(slow=1)
async def test_a_function_runs_in_the_pool_that_is_named(made):
    assert await bridge.run_in_pool(thread_name) == "main-1"
    assert await bridge.run_in_pool(thread_name, pool="slow") == "slow-1"
    assert await bridge.run_in_pool(dict, [("a", 1)], b=2) == {"a": 1, "b": 2}


@crossing()
async def test_the_context_goes_to_the_thread_and_comes_back(made):
    def change():
        seen = VARIABLE.get()
        VARIABLE.set("from the thread")
        return seen

    VARIABLE.set("from the loop")
    assert await bridge.run_in_pool(change) == "from the loop"
    assert VARIABLE.get() == "from the thread"


@crossing()
async def test_an_error_comes_back_with_its_traceback(made):
    def culprit():
        VARIABLE.set("even so")
        raise StopIteration("done")

    with pytest.raises(RuntimeError) as caught:  # what Python makes of a StopIteration in a coroutine
        await bridge.run_in_pool(culprit)
    assert "culprit" in "".join(traceback.format_exception(caught.value))
    assert VARIABLE.get() == "even so"
    with pytest.raises(ValueError, match="invalid literal"):
        await bridge.run_in_pool(int, "x")


@crossing(threads=1, queue_size=0)
async def test_a_full_pool_is_an_error(made):
    release = threading.Event()
    first = asyncio.ensure_future(bridge.run_in_pool(release.wait, PATIENCE_SECONDS))
    await until_async(lambda: has_taken(made.pools[None]))
    with pytest.raises(ChannelFull):
        await bridge.run_in_pool(thread_name)
    release.set()
    assert await first is True


@crossing(threads=1)
async def test_a_call_that_waited_too_long_is_an_error(made):
    release = threading.Event()
    first = asyncio.ensure_future(bridge.run_in_pool(release.wait, PATIENCE_SECONDS))
    await until_async(lambda: has_taken(made.pools[None]))
    late = asyncio.ensure_future(bridge.run_in_pool(thread_name))
    await until_async(lambda: made.pools[None].queued == 1)
    for job in made.pools[None].expire(float("inf")):
        job.expire()
    with pytest.raises(ChannelFull, match="in time"):
        await late
    release.set()
    await first


@crossing(threads=1)
async def test_a_cancelled_call_that_waits_is_never_made(made):
    release, calls = threading.Event(), []
    first = asyncio.ensure_future(bridge.run_in_pool(release.wait, PATIENCE_SECONDS))
    await until_async(lambda: has_taken(made.pools[None]))
    second = asyncio.ensure_future(bridge.run_in_pool(calls.append, 1))
    await until_async(lambda: made.pools[None].queued == 1)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert made.pools[None].queued == 0
    first.cancel()  # it runs: its result is dropped
    with pytest.raises(asyncio.CancelledError):
        await first
    release.set()
    assert await bridge.run_in_pool(thread_name) == "main-1"
    assert calls == []


@crossing()
async def test_a_pool_that_is_not_there_is_named(made):
    with pytest.raises(ValueError, match="no pool 'slow'"):
        bridge.run_in_pool(thread_name, pool="slow")


@crossing(threads=1)
async def test_a_call_that_is_stuck_is_given_up(made):
    release = threading.Event()
    stuck = asyncio.ensure_future(bridge.run_in_pool(release.wait, PATIENCE_SECONDS))
    [pool] = made.pools.values()
    await until_async(lambda: has_taken(pool))
    [(_, call)] = pool.running()
    assert "run_in_pool(threading.Event.wait)" in call.name
    assert not call.is_long
    call.give_up("the worker is replaced")
    with pytest.raises(ServerStopping, match="the worker is replaced"):
        await stuck
    release.set()
    await until_async(lambda: pool.busy == 0)


def test_a_function_may_be_said_to_run_long():
    import uvicorn

    @uvicorn.runs_long
    def export():
        pass

    loop = asyncio.new_event_loop()
    assert PoolCall(functools.partial(export), Outbox(loop)).is_long
    loop.close()
