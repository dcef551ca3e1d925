"""`run_on_loop`: from a thread to the loop, and back again."""

import asyncio
import contextvars
import inspect
import traceback

import pytest
from bridge_doubles import in_thread, until_async
from crossing_doubles import crossing, thread_name

from uvicorn import bridge
from uvicorn.errors import ServerStopping

VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")


@crossing()
async def test_a_coroutine_runs_on_the_loop_with_the_context_both_ways(made):
    async def change():
        seen = VARIABLE.get(), thread_name()
        VARIABLE.set("from the loop")
        await asyncio.sleep(0)
        return seen

    def visit():
        VARIABLE.set("from the thread")
        seen = bridge.run_on_loop(change())
        return seen, VARIABLE.get()

    assert await in_thread(visit) == (("from the thread", "MainThread"), "from the loop")


@crossing()
async def test_an_error_of_a_coroutine_comes_back_with_its_traceback(made):
    async def culprit():
        raise KeyError("lost")

    def visit():
        with pytest.raises(KeyError) as caught:
            bridge.run_on_loop(culprit())
        return "".join(traceback.format_exception(caught.value))

    assert "culprit" in await in_thread(visit)


@crossing(threads=1, queue_size=0)
async def test_one_thread_is_enough_to_go_there_and_back_again(made):
    def innermost():
        VARIABLE.set("innermost")
        return thread_name()

    async def on_the_loop():
        return [await bridge.run_in_pool(innermost), *await asyncio.gather(*[bridge.run_in_pool(thread_name)])]

    def deep():
        async def again():
            return await bridge.run_in_pool(thread_name)

        return bridge.run_on_loop(again())

    async def nested():
        return await bridge.run_in_pool(deep)

    def visit():
        return bridge.run_on_loop(on_the_loop()), VARIABLE.get(), bridge.run_on_loop(nested())

    assert await bridge.run_in_pool(visit) == (["main-1", "main-1"], "innermost", "main-1")


@crossing(threads=1)
async def test_a_task_that_outlives_its_visit_uses_the_pool(made):
    left = []

    async def later():
        await until_async(lambda: made.pools[None].busy == 0)
        return await bridge.run_in_pool(thread_name)

    async def leave():
        left.append(asyncio.ensure_future(later()))

    await bridge.run_in_pool(lambda: bridge.run_on_loop(leave()))
    assert await left[0] == "main-1"


@crossing()
async def test_a_thread_that_waits_is_shown_as_waiting(made):
    go = asyncio.Event()
    call = asyncio.ensure_future(bridge.run_in_pool(lambda: bridge.run_on_loop(go.wait())))
    await until_async(lambda: "1 waiting" in repr(made.pools[None]))
    go.set()
    assert await call is True


@crossing()
async def test_a_stop_releases_the_threads_that_wait(made):
    began, ended = [], []

    async def wait_for_ever():
        began.append(True)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    def visit():
        with pytest.raises(ServerStopping):
            bridge.run_on_loop(wait_for_ever())
        with pytest.raises(ServerStopping):  # nor does one that comes later wait
            bridge.run_on_loop(wait_for_ever())
        return "released"

    call = asyncio.ensure_future(bridge.run_in_pool(visit))
    await until_async(lambda: began)
    made.stop()
    assert await call == "released"
    await until_async(lambda: ended)


@crossing()
async def test_a_coroutine_that_has_not_begun_when_the_worker_stops_is_closed(made):
    """Otherwise Python warns that it was never awaited."""

    def visit():
        coroutine = asyncio.sleep(0)
        with pytest.raises(ServerStopping):
            bridge.run_on_loop(coroutine)
        return coroutine

    call = asyncio.ensure_future(bridge.run_in_pool(visit))
    while not made.visits:  # noqa: ASYNC110  # each turn is looked at, and the next one begins the task
        await asyncio.sleep(0)
    made.stop()
    coroutine = await call
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED
