"""The seams are installed for a worker and removed; an anyio that is not known is governed by its limiter's tokens."""

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest
from asgiref.sync import SyncToAsync, async_to_sync, sync_to_async
from framework_doubles import Frameworks as Doubles
from framework_doubles import frameworks
from patience import PATIENCE_SECONDS

from uvicorn.applications import anyio_threads
from uvicorn.applications.anyio_tokens import Tokens
from uvicorn.applications.frameworks import Frameworks
from uvicorn.bridge.dispatcher import Dispatcher
from uvicorn.bridge.framework_calls import FrameworkPools, nested_tests
from uvicorn.bridge.loop_executor import LoopExecutor, give_back, lend
from uvicorn.errors import WrongSide


class Log:
    def __init__(self):
        self.lines = []

    def info(self, text, *args, **_):
        self.lines.append(text % args)

    warning = debug = error = info


async def serve(monkeypatch, look):
    """Install the seams on a worker's dispatcher, and remove them; return the log."""
    doubles = Doubles()
    doubles.seam.remove()
    log = Log()
    loop = asyncio.get_running_loop()
    shared = FrameworkPools(doubles.aside, doubles.extra)
    made = Frameworks(loop, Dispatcher(doubles.main, doubles.outbox, log, 30.0, shared=shared), log)
    before = dict(anyio_threads.Backend.__dict__)
    made.install()
    try:
        await look(made)
        made.look()
    finally:
        made.remove()
        doubles.seam.install()
        doubles.close()
    assert dict(anyio_threads.Backend.__dict__) == before
    assert nested_tests == []
    return log


def test_what_is_imported_is_ours_and_is_named(monkeypatch):
    async def look(made):
        assert (await asyncio.to_thread(thread_name)).startswith("aside-")
        assert (await anyio.to_thread.run_sync(thread_name)).startswith("aside-")

    log = asyncio.run(serve(monkeypatch, look))
    [line] = log.lines
    assert line.startswith("Threads of frameworks are ours: asyncio (asyncio), anyio 4.")


def thread_name():
    import threading

    return threading.current_thread().name


def test_anyio_may_be_imported_later(monkeypatch):
    async def look(made):
        monkeypatch.undo()
        assert await anyio.to_thread.run_sync(thread_name) == "AnyIO worker thread"
        made.look()
        assert (await anyio.to_thread.run_sync(thread_name)).startswith("aside-")

    monkeypatch.delitem(sys.modules, "anyio")
    asyncio.run(serve(monkeypatch, look))


def test_another_anyio_keeps_its_threads_says_so_once_and_is_governed_by_its_tokens(monkeypatch):
    monkeypatch.setattr(anyio_threads, "version", lambda name: "9.0")

    async def look(made):
        assert await anyio.to_thread.run_sync(thread_name) == "AnyIO worker thread"
        made.look()
        made.look()
        made._tokens.set_limit(2.0)
        assert anyio.to_thread.current_default_thread_limiter().total_tokens == 2

    log = asyncio.run(serve(monkeypatch, look))
    assert [line for line in log.lines if "keeps its own threads" in line] == [
        "anyio keeps its own threads: anyio 9.0 was not tested; 4.14 to 4.16 are"
    ]


@pytest.mark.parametrize("count", [1, 6])
def test_tokens_are_to_the_sampler_what_a_pool_is(count):
    async def test():
        limiter = anyio.CapacityLimiter(5)
        tokens = Tokens(limiter)
        looked = []
        tokens.on_busy = lambda: looked.append(1)
        for number in range(min(count, 5)):
            limiter.acquire_on_behalf_of_nowait(number)
        waiting = [asyncio.ensure_future(limiter.acquire_on_behalf_of(number)) for number in range(5, count)]
        await asyncio.sleep(0)
        tokens.look()
        assert (tokens.threads, tokens.limit, tokens.weight, tokens.held) == (5, 5.0, min(count, 5), 0)
        assert looked == [1] * (count > 1)
        tokens.set_limit(0.75)
        assert (limiter.total_tokens, tokens.limit, tokens.held) == (1, 0.75, len(waiting))
        first = tokens.first_held
        assert tokens.first_held is first
        for number in range(min(count, 5)):
            limiter.release_on_behalf_of(number)
        assert tokens.first_held is not first
        limiter.total_tokens = 8  # by the application
        assert (tokens.held, tokens.threads, tokens.limit) == (0, 8, 8.0)
        tokens.measure(4)
        await asyncio.gather(*waiting)

    asyncio.run(test())


@frameworks()
async def test_calls_of_an_application_that_is_over_are_outside_of_requests(made):
    work = made.request()
    work.end()
    assert (await anyio.to_thread.run_sync(thread_name)).startswith("aside-")


def test_several_loops_have_the_seam_at_once_and_the_last_one_takes_it_away():
    before = dict(anyio_threads.Backend.__dict__)
    order = []

    async def call(name, enter, leave):
        doubles = Doubles()
        try:
            await asyncio.to_thread(enter.wait, PATIENCE_SECONDS)
            doubles.request()
            own = await anyio.to_thread.run_sync(lambda: threading.get_ident() in {s.thread_id for s in slots(doubles)})
            order.append((name, own))
            await asyncio.to_thread(leave.wait, PATIENCE_SECONDS)
            assert (await anyio.to_thread.run_sync(thread_name)).startswith("main-")
        finally:
            doubles.close()

    def slots(doubles):
        return [slot for pool in doubles.pools for slot in pool.slots()]

    both, one_is_over, passed = threading.Barrier(2), threading.Event(), threading.Event()
    passed.set()
    first = threading.Thread(target=lambda: asyncio.run(call("first", both, passed)))
    second = threading.Thread(target=lambda: asyncio.run(call("second", both, one_is_over)))
    first.start()
    second.start()
    first.join(PATIENCE_SECONDS)
    one_is_over.set()
    second.join(PATIENCE_SECONDS)
    assert sorted(order) == [("first", True), ("second", True)]
    assert dict(anyio_threads.Backend.__dict__) == before


def test_a_loop_that_lives_on_gets_its_own_executor_back():
    async def test():
        loop = asyncio.get_running_loop()
        doubles = Doubles()
        loop.set_default_executor(own := ThreadPoolExecutor(1, "own"))
        one, two = (LoopExecutor(doubles.threads, threading.get_ident()) for _ in range(2))
        lend(loop, one)
        lend(loop, two)
        doubles.request()
        give_back(loop, one)  # the first of two servers on this loop
        assert (await asyncio.to_thread(thread_name)).startswith("main-")
        give_back(loop, two)
        assert (await asyncio.to_thread(thread_name)).startswith("own_")
        doubles.close()
        own.shutdown()

    asyncio.run(test())


def test_thread_sensitive_code_outside_of_requests_runs_in_one_thread_aside(monkeypatch):
    original = SyncToAsync.single_thread_executor

    async def look(made):
        found = {await sync_to_async(thread_name)() for _ in range(3)}
        assert len(found) == 1
        assert found.pop().startswith("aside-")
        assert await sync_to_async(async_to_sync(on_the_loop))() == "MainThread"
        with pytest.raises(WrongSide) as raised:
            async_to_sync(on_the_loop)()
        assert str(raised.value).count("test_frameworks.py:") == 2

    asyncio.run(serve(monkeypatch, look))
    assert SyncToAsync.single_thread_executor is original


async def on_the_loop():
    return thread_name()
