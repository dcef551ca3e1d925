"""`run_in_pool` and `run_on_loop`: from one side to the other, with threads and a loop."""

import asyncio
import contextvars
import functools
import inspect
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest
from bridge_doubles import in_thread, on_loop, until_async
from patience import PATIENCE_SECONDS

from uvicorn import bridge
from uvicorn.bridge.crossing import Crossing, install, uninstall
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.errors import ChannelFull, ServerStopping, WrongSide

VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")


def crossing(threads=2, queue_size=4, **named):
    """Run an asynchronous test with a crossing of its own."""

    def decorate(test):
        @functools.wraps(test)
        @on_loop
        async def run():
            loop = asyncio.get_running_loop()
            pool = ConsumerPool(threads, queue_size, loop.call_soon, name="main")
            pools = {name: ConsumerPool(size, 4, loop.call_soon, name=name) for name, size in named.items()}
            made = Crossing(Outbox(loop), pool, pools)
            install(made)
            try:
                await test(made)
            finally:
                made.stop()
                install(None)
                for each in (pool, *pools.values()):
                    each.stop()

        del run.__wrapped__  # or pytest would ask for a fixture
        return run

    return decorate


def thread_name():
    return threading.current_thread().name


# ---- run_in_pool ----


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
    first = asyncio.ensure_future(bridge.run_in_pool(release.wait, 10))
    await until_async(lambda: made.pools[None].busy == 1)
    with pytest.raises(ChannelFull):
        await bridge.run_in_pool(thread_name)
    release.set()
    assert await first is True


@crossing(threads=1)
async def test_a_call_that_waited_too_long_is_an_error(made):
    release = threading.Event()
    first = asyncio.ensure_future(bridge.run_in_pool(release.wait, 10))
    await until_async(lambda: made.pools[None].busy == 1)
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
    first = asyncio.ensure_future(bridge.run_in_pool(release.wait, 10))
    await until_async(lambda: made.pools[None].busy == 1)
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


# ---- run_on_loop ----


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


# ---- the wrong side, and the end ----


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


@crossing(threads=1)
async def test_a_call_that_is_stuck_is_given_up(made):
    release = threading.Event()
    stuck = asyncio.ensure_future(bridge.run_in_pool(release.wait, 10))
    [pool] = made.pools.values()
    await until_async(lambda: pool.busy == 1)
    [(_, call)] = pool.running()
    assert "run_in_pool(threading.Event.wait)" in call.name
    assert not call.is_long
    call.give_up()
    with pytest.raises(ServerStopping, match="the worker is replaced"):
        await stuck
    release.set()
    await until_async(lambda: pool.busy == 0)


def test_a_function_may_be_said_to_run_long():
    import uvicorn
    from uvicorn.bridge.crossing import PoolCall

    @uvicorn.runs_long
    def export():
        pass

    loop = asyncio.new_event_loop()
    assert PoolCall(functools.partial(export), Outbox(loop)).is_long
    loop.close()


# ---- several servers in one process ----


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
