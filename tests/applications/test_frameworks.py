"""The seams are installed for a worker and removed; an anyio that is not known is governed by its limiter's tokens."""

import asyncio
import sys

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest
from framework_doubles import Frameworks as Doubles
from framework_doubles import frameworks

from uvicorn.applications import anyio_threads
from uvicorn.applications.anyio_tokens import Tokens
from uvicorn.applications.frameworks import Frameworks
from uvicorn.bridge.dispatcher import Dispatcher
from uvicorn.bridge.framework_calls import FrameworkPools, nested_tests


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
