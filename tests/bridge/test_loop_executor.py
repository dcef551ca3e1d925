"""The loop's default executor: asyncio's own calls in our pools."""

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import uvloop
from bridge_doubles import until_async
from patience import PATIENCE_SECONDS
from pool_doubles import has_taken

from uvicorn.bridge.framework_calls import FrameworkPools, FrameworkThreads
from uvicorn.bridge.loop_executor import LoopExecutor
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.bridge.work import Work, current_work, nested_below
from uvicorn.errors import ChannelFull

VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")


def run(test, new_loop, threads=1, queue_size=2):
    async def bounded():
        loop = asyncio.get_running_loop()
        main, aside, extra = (
            ConsumerPool(count, queue_size, loop.call_soon, name=name)
            for name, count in (("main", threads), ("aside", 2), ("extra", 4))
        )
        made = FrameworkThreads(main, FrameworkPools(aside, extra), Outbox(loop), lambda: None)
        loop.set_default_executor(LoopExecutor(made, threading.get_ident()))
        try:
            await asyncio.wait_for(test(made), 2 * PATIENCE_SECONDS)
        finally:
            for pool in (main, aside, extra):
                pool.stop()

    loop = new_loop()
    try:
        loop.run_until_complete(bounded())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


@pytest.fixture(params=[asyncio.SelectorEventLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def new_loop(request):
    return request.param


def name():
    return threading.current_thread().name


def test_calls_run_in_our_threads_with_arguments_context_and_errors(new_loop):
    async def test(made):
        loop = asyncio.get_running_loop()
        current_work.set(Work(made))
        VARIABLE.set("set")
        assert await asyncio.to_thread(lambda *args, **kwargs: (args, kwargs, VARIABLE.get()), 1, two=2) == (
            (1,),
            {"two": 2},
            "set",
        )
        assert await loop.run_in_executor(None, VARIABLE.get) == "unset"  # as asyncio has it
        assert await loop.run_in_executor(None, name) == "main-1"
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        assert await loop.getaddrinfo("127.0.0.1", 80)
        with ThreadPoolExecutor(1, "own") as own:
            assert await loop.run_in_executor(own, name) == "own_0"
        current_work.set(None)
        assert (await asyncio.to_thread(name)).startswith("aside-")

    run(test, new_loop)


def test_a_queued_call_that_is_cancelled_never_runs_and_a_full_queue_refuses(new_loop):
    async def test(made):
        current_work.set(Work(made))
        end, ran = threading.Event(), []
        running = asyncio.ensure_future(asyncio.to_thread(end.wait, PATIENCE_SECONDS))
        await until_async(lambda: has_taken(made.pool))
        waiting = [asyncio.ensure_future(asyncio.to_thread(ran.append, number)) for number in range(2)]
        await until_async(lambda: made.pool.queued == 2)
        with pytest.raises(ChannelFull):
            await asyncio.to_thread(ran.append, 2)
        waiting[0].cancel()
        await until_async(lambda: made.pool.queued == 1)
        end.set()
        await asyncio.gather(running, *waiting, return_exceptions=True)
        assert ran == [1]

    run(test, new_loop)


def test_a_full_pool_of_calls_that_wait_for_calls_does_not_wait_for_itself(new_loop):
    async def test(made):
        current_work.set(Work(made))
        loop = asyncio.get_running_loop()
        executor = LoopExecutor(made, threading.get_ident())
        barrier = threading.Barrier(2)

        async def inner():
            return await asyncio.to_thread(name)

        def by_coroutine():
            barrier.wait(PATIENCE_SECONDS)  # both threads are taken
            return asyncio.run_coroutine_threadsafe(inner(), loop).result(PATIENCE_SECONDS)

        def by_executor():
            barrier.wait(PATIENCE_SECONDS)
            return executor.submit(name).result(PATIENCE_SECONDS)

        found = await asyncio.gather(asyncio.to_thread(by_coroutine), asyncio.to_thread(by_executor))
        assert "extra" in {text.partition("-")[0] for text in found}  # the other one may find a thread free again
        assert not nested_below.get()

    run(test, new_loop, threads=2, queue_size=0)


def test_it_is_an_executor_for_any_thread(new_loop):
    async def test(made):
        executor = asyncio.get_running_loop()._default_executor if new_loop is asyncio.SelectorEventLoop else None  # type: ignore[attr-defined]
        executor = executor or LoopExecutor(made, threading.get_ident())

        def elsewhere():
            future = executor.submit(int, "7")
            failing = executor.submit(int, "x")
            cancelled = executor.submit(int)
            cancelled.cancel()
            return (
                future.result(PATIENCE_SECONDS),
                type(failing.exception(PATIENCE_SECONDS)),
                list(executor.map(abs, [-1, -2])),
            )

        with ThreadPoolExecutor(1) as own:
            found = await asyncio.get_running_loop().run_in_executor(own, elsewhere)
        assert found == (7, ValueError, [1, 2])
        executor.shutdown()
        with pytest.raises(RuntimeError, match="after shutdown"):
            executor.submit(int)

    run(test, new_loop)


def test_an_application_without_threads_starts_none(new_loop):
    before = {*threading.enumerate()}  # those of earlier tests may end meanwhile

    async def test(made):
        assert {*threading.enumerate()} <= before

    run(test, new_loop)
