"""A worker that is told to leave while it starts."""

import os
import signal

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger
from kept_logging import logging_as_before

from uvicorn.command.worker import ASGIWorker


class Application:
    """Gunicorn's: it makes the application."""

    def __init__(self):
        self.loads = 0

    def wsgi(self):
        self.loads += 1
        return lambda environ, start_response: []


@pytest.fixture
def worker():
    cfg = Config()
    with logging_as_before():
        made = ASGIWorker(1, os.getpid(), [], Application(), 30, cfg, Logger(cfg))
        made.pid = os.getpid()
        yield made
        made.tmp.close()


def test_a_worker_that_was_told_to_leave_before_the_import_does_not_begin_it(worker):
    worker.handle_exit(signal.SIGTERM, None)  # after its handlers are set, and before it loads
    with pytest.raises(SystemExit) as caught:
        worker.load_wsgi()
    assert (caught.value.code, worker.app.loads) == (0, 0)
