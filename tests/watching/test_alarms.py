"""What watches a worker, as one: where its parts cannot be had, it says so and does without."""

import asyncio
import logging

import pytest
from gunicorn.config import Config

from uvicorn.applications.loading import make_application
from uvicorn.command.peers import GunicornPeers
from uvicorn.command.serving import Serving
from uvicorn.command.serving_settings import Frame
from uvicorn.command.settings import Settings
from uvicorn.watching.board import Board
from uvicorn.watching.watching import Shared


async def consumer(message):
    """Serve nothing: it is not called."""


@pytest.fixture
def watched():
    """Return a function that watches what serves an application, with these settings, and stops it again."""
    loop = asyncio.new_event_loop()

    async def watch(log, values):
        cfg = Config()
        for name, value in values.items():
            cfg.set(name, value)
        settings = Settings.from_config(cfg)
        frame = Frame(threads=1, are_threads_given=False, connections=1, lifespan="off")
        application = make_application(consumer, "app", "auto")
        peers = GunicornPeers(cfg, settings.forwarded_fields)
        serving = Serving(asyncio.get_running_loop(), application, settings, frame, peers, log)
        serving.listen([])
        try:
            serving.watch(Shared(Board(), None), 7)
        finally:
            serving.close()

    yield lambda log, **values: loop.run_until_complete(watch(log, values))
    loop.close()


def test_a_socket_for_status_that_cannot_be_made_is_told_and_the_worker_serves(watched, caplog):
    folder = f"/{'x' * 100}"
    watched(logging.getLogger("watched"), status_dir=folder, loop_block_warning=0)  # a busy machine may block the loop
    [text] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert text == f"No socket for 'uvicorn status' and 'uvicorn dump': {folder}: the path is too long for a socket"
