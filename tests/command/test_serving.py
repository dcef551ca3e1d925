"""What serves an application, as one: at its end nobody waits any more."""

import asyncio
import contextvars
import threading

import pytest
from gunicorn.config import Config
from patience import PATIENCE_SECONDS

from uvicorn import bridge
from uvicorn.applications.loading import make_application
from uvicorn.bridge.thread_call import ThreadCall
from uvicorn.bridge.work import Work
from uvicorn.command.peers import GunicornPeers
from uvicorn.command.serving import Serving
from uvicorn.command.serving_settings import Frame
from uvicorn.command.settings import Settings
from uvicorn.errors import ServerStopping


async def consumer(message):
    """Serve nothing: it is not called."""


class Log:
    def debug(self, *args, **kwargs): ...
    def info(self, *args, **kwargs): ...


@pytest.fixture
def release():
    """Set at the end: what threads wait for."""
    event = threading.Event()
    yield event
    event.set()


def serving_of_one_thread():
    cfg = Config()
    settings = Settings.from_config(cfg)
    frame = Frame(threads=1, are_threads_given=True, connections=1, lifespan="off")
    peers = GunicornPeers(cfg, settings.forwarded_fields)
    application = make_application(consumer, "app", "auto")
    return Serving(asyncio.get_running_loop(), application, settings, frame, peers, Log())


def call_for(threads, work):
    """Have a call made as frameworks do."""
    future = asyncio.get_running_loop().create_future()
    threads.submit(ThreadCall(int, (), contextvars.copy_context(), future, threads, work))
    return future


@pytest.mark.parametrize("has_server", [True, False])
def test_whoever_waits_for_a_thread_when_a_server_is_closed_is_told(release, has_server):
    """The pools dropped what waited there before anybody could be told: code that awaited it hung for ever."""

    async def serve():
        serving = serving_of_one_thread()
        if has_server:
            serving.listen([])
        pool = serving.dispatcher.pool
        threads = serving.dispatcher.frameworks[pool]
        loop, started = asyncio.get_running_loop(), asyncio.Event()

        def hold():
            loop.call_soon_threadsafe(started.set)
            return release.wait(PATIENCE_SECONDS)

        running = asyncio.ensure_future(bridge.run_in_pool(hold))
        await started.wait()
        background = Work(threads)
        background.is_answered = True
        waiting = [
            asyncio.ensure_future(bridge.run_in_pool(int)),
            call_for(threads, Work(threads)),
            *(call_for(threads, background) for _ in range(2)),  # one in the pool, one behind it
        ]
        await asyncio.sleep(0)
        assert (pool.queued, pool.late, len(threads.behind)) == (2, 1, 1)
        serving.close()
        await asyncio.wait(waiting, timeout=PATIENCE_SECONDS)
        assert [str(each.exception()) for each in waiting] == ["the worker is stopping"] * 4
        assert {type(each.exception()) for each in waiting} == {ServerStopping}
        release.set()
        assert await running

    asyncio.run(serve())


def test_a_thread_that_waits_for_the_loop_is_let_go_when_the_server_is_closed():
    ended = []

    def wait(started):
        async def never():
            started.set()
            await asyncio.Event().wait()

        try:
            bridge.run_on_loop(never())
        except ServerStopping as error:
            ended.append(str(error))

    async def serve():
        serving, started = serving_of_one_thread(), asyncio.Event()
        waiting = asyncio.ensure_future(bridge.run_in_pool(wait, started))
        await started.wait()
        serving.close()
        await waiting

    asyncio.run(serve())
    assert ended == ["the worker is stopping"]
