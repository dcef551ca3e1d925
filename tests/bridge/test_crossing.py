"""The two calls from one side to the other: which side, and which of several servers."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from bridge_doubles import in_thread
from crossing_doubles import crossing, thread_name
from patience import PATIENCE_SECONDS

from uvicorn import bridge
from uvicorn.bridge.crossing import Crossing, install, uninstall
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.errors import WrongSide


@crossing()
async def test_the_wrong_side_is_an_error_at_once(made):
    async def never():
        raise AssertionError

    coroutine = never()
    with pytest.raises(WrongSide, match="Await it instead"):
        bridge.run_on_loop(coroutine)
    with pytest.raises(RuntimeError, match="reuse"):
        coroutine.send(None)  # it was closed: no warning that nobody awaited it

    def wrong():
        with pytest.raises(WrongSide, match="call the function"):
            bridge.run_in_pool(thread_name)
        with pytest.raises(TypeError, match="takes a coroutine"):
            bridge.run_on_loop(never)

    await bridge.run_in_pool(wrong)


def test_without_a_worker_either_call_is_an_error():
    async def never():
        raise AssertionError

    install(None)
    with pytest.raises(WrongSide, match="none runs in this process"):
        bridge.run_in_pool(thread_name)
    with pytest.raises(WrongSide, match="none runs in this process"):
        bridge.run_on_loop(never())


def serve_in_thread(name, work):
    """Run an asynchronous function in a loop and a thread of its own, beside a pool that has this name."""

    async def run():
        loop = asyncio.get_running_loop()
        pool = ConsumerPool(1, 4, loop.call_soon, name=name)
        made = Crossing(Outbox(loop), pool, {})
        install(made)
        try:
            return await work(made)
        finally:
            uninstall(made)
            made.stop()
            pool.stop()

    return asyncio.run(run())


def test_each_loop_finds_its_own_pool_and_each_thread_its_own_loop():
    install(None)
    both = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    async def loop_thread():
        return threading.get_ident()

    async def work(made):
        await asyncio.to_thread(both.wait)
        name = await bridge.run_in_pool(thread_name)
        loop = await bridge.run_in_pool(lambda: bridge.run_on_loop(loop_thread()))
        await asyncio.to_thread(both.wait)
        return name, loop == threading.get_ident()

    with ThreadPoolExecutor(2) as threads:
        answers = [threads.submit(serve_in_thread, name, work) for name in ("one", "two")]
        assert [answer.result() for answer in answers] == [("one-1", True), ("two-1", True)]
    with pytest.raises(WrongSide, match="none runs in this process"):
        bridge.run_in_pool(thread_name)


def test_a_thread_of_no_server_is_told_so_if_there_are_several():
    install(None)

    async def never():
        raise AssertionError

    async def outer(_):
        async def inner(_):
            def ask():
                with pytest.raises(WrongSide, match="none of the 2 servers"):
                    bridge.run_on_loop(never())

            await in_thread(ask)

        await asyncio.to_thread(serve_in_thread, "inner", inner)

    serve_in_thread("outer", outer)
