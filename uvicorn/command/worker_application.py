"""The application of a worker: how it is loaded, with what it is served, and how its start is waited for."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any, Final

from gunicorn.app.wsgiapp import WSGIApplication

from uvicorn.applications.loading import load_site, make_application
from uvicorn.applications.router import Router, SingleConsumer
from uvicorn.command.leaving import Leaving
from uvicorn.command.peers import GunicornPeers
from uvicorn.command.reporting import GunicornHooks, Reporter
from uvicorn.command.serving import Serving
from uvicorn.command.serving_settings import Frame
from uvicorn.command.settings import Settings, are_threads_given
from uvicorn.connections.service import NextVersion

__all__ = ["load", "make_serving", "start"]

_LAST_SECONDS: Final = 0.1  # for a start that is broken off


def load(app: Any, cfg: Any, interface: str) -> Router | SingleConsumer:
    """Return what is served.

    Args:
        app: Gunicorn's: it has the name of the application, or makes it.
        cfg: Gunicorn's.
        interface: our setting.

    Raises: AppImportError with one sentence; what the application's own import raises.
    """
    uri = getattr(app, "app_uri", None) or "the application"
    # Gunicorn's own loader would refuse a list of routes, and shows a traceback for a wrong name.
    if type(app) is WSGIApplication and app.callable is None and cfg.paste is None:
        return load_site(uri, interface)
    return make_application(app.wsgi(), uri, interface)


def make_serving(
    worker: Any,
    loop: asyncio.AbstractEventLoop,
    application: Router | SingleConsumer,
    settings: Settings,
    http2: NextVersion | None,
    leaving: Leaving,
    layer_place: str | None,
) -> Serving:
    """Give what serves the application Gunicorn's settings, hooks and log.

    Args:
        worker: Gunicorn's: `cfg`, `log` and `max_requests` are used; hooks are called with it.
        http2: what knows HTTP/2; None if it is not served.
        leaving: is told of reasons to leave.
        layer_place: the directory in which the workers of one master find each other.
    """
    cfg, log = worker.cfg, worker.log
    frame = Frame(
        threads=cfg.threads,
        are_threads_given=are_threads_given(cfg.threads),
        connections=cfg.worker_connections,
        lifespan=cfg.asgi_lifespan,
        root_path=cfg.root_path,
        upload_folder=cfg.tmp_upload_dir,
        shows_errors=cfg.reload,
        most_requests=worker.max_requests,
        layer_place=layer_place,
    )
    serving = Serving(
        loop,
        application,
        settings,
        frame,
        GunicornPeers(cfg, settings.forwarded_fields),
        log,
        hooks=GunicornHooks(cfg, worker, log) if GunicornHooks.wanted(cfg, log) else None,
        http2=http2,
        report=Reporter(log) if Reporter.wanted(log) else None,
        on_most_requests=leaving.on_most_requests,
        on_lost_pool=leaving.on_lost_pool,
    )
    if serving.dispatcher.pool.threads == 1 and not all(consumer.is_async for consumer in application.consumers()):
        log.warning("Synchronous consumers run one at a time, in one thread: use --threads for more")
    return serving


def start(worker: Any, loop: asyncio.AbstractEventLoop, serving: Serving, beat_seconds: float) -> None:
    """Have the application start, and go on telling the master that the worker lives. Blocks: until it has started.

    Args:
        worker: Gunicorn's: `alive`, `notify` and `ppid` are used.

    Raises: what an `on_startup` raises, StartupError; SystemExit(0) if the worker is told to stop meanwhile.
    """
    if serving.lifecycle.is_empty:
        return
    try:
        loop.run_until_complete(_started(worker, serving, beat_seconds))
    except BaseException:
        serving.close()
        raise


async def _started(worker: Any, serving: Serving, beat_seconds: float) -> None:
    starting = asyncio.ensure_future(serving.lifecycle.start())
    while not starting.done():
        worker.notify()
        await asyncio.wait([starting], timeout=beat_seconds)
        if not starting.done() and (not worker.alive or worker.ppid != os.getppid()):
            starting.cancel()
            await asyncio.wait([starting], timeout=_LAST_SECONDS)
            sys.exit(0)
    starting.result()
