"""How many threads a worker has, and what the start says of it."""

import asyncio
import logging
from types import SimpleNamespace

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from uvicorn import mount
from uvicorn.applications.loading import make_application
from uvicorn.command.settings import DefaultThreads, Settings
from uvicorn.command.worker_application import make_serving

SAYS_WHY = "Threads: 40, for what ASGI applications hand to threads: anyio's own default, as threads is not set to more"
ONE_AT_A_TIME = "Synchronous consumers run one at a time, in one thread: use --threads for more"


async def asgi(scope, receive, send):
    """Serve nothing: it is not called."""


def plain(message):
    """Serve nothing, in a thread."""


def wsgi(environ, start_response):
    """Serve nothing, in a thread."""


async def coroutine(message):
    """Serve nothing, on the loop."""


class Log(Logger):
    """Gunicorn's, that keeps what it is told."""

    def __init__(self):
        self.text, self.loglevel, self.cfg = "", logging.INFO, Config()

    def info(self, text, *args):
        self.text += f"{text % args}\n"

    warning = info


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def threads_for(log):
    """Return a function that makes what serves an application, and returns how many threads that has."""
    loop = asyncio.new_event_loop()

    def count(consumer, threads, **settings):
        cfg = Config()
        cfg.settings["threads"].value = threads
        for name, value in settings.items():
            cfg.set(name, value)
        worker = SimpleNamespace(cfg=cfg, log=log, max_requests=1)
        leaving = SimpleNamespace(on_most_requests=None, on_lost_pool=None)
        application = make_application(consumer, "app", "auto")
        serving = make_serving(worker, loop, application, Settings.from_config(cfg), None, leaving, None)
        serving.close()
        return serving.dispatcher.pool.threads

    yield count
    loop.close()


# Gunicorn's 1 is its default, and what `--threads 1` gives; 6 is that of the command, on two processors
@pytest.mark.parametrize("threads", [1, DefaultThreads(6)])
def test_an_asgi_application_has_40_threads_unless_they_are_set_to_more_than_1_and_the_start_says_why(
    threads_for, log, threads
):
    assert threads_for(asgi, threads) == 40
    assert SAYS_WHY in log.text
    assert "one at a time" not in log.text


@pytest.mark.parametrize("threads", [2, 6, 50])
def test_a_number_that_is_set_is_taken_as_it_is(threads_for, log, threads):
    assert threads_for(asgi, threads) == threads
    assert "Threads: " not in log.text


def test_default_threads_that_are_more_than_40_stay(threads_for):
    assert threads_for(asgi, DefaultThreads(64)) == 64


def test_an_application_whose_frameworks_keep_their_threads_has_those_that_are_set(threads_for):
    assert threads_for(asgi, 1, framework_threads="own") == 1


@pytest.mark.parametrize(("consumer", "is_warned"), [(plain, True), (coroutine, False)])
def test_one_thread_is_warned_of_if_something_runs_there(threads_for, log, consumer, is_warned):
    assert threads_for(consumer, 1) == 1
    assert (ONE_AT_A_TIME in log.text) == is_warned


def test_it_is_not_warned_of_one_thread_where_an_asgi_application_beside_brings_more(threads_for, log):
    assert threads_for([mount("/old", wsgi), mount("/", asgi)], 1) == 40
    assert "one at a time" not in log.text
