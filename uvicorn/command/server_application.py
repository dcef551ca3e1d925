"""The application of a `uvicorn.Server`: with what it is served, how its start is waited for, and what is said then."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

from uvicorn.applications.contents import Served, served
from uvicorn.command.config import Config
from uvicorn.command.http2 import check_http2, make_http2
from uvicorn.command.interpreter import restore_switch_interval, shorten_switch_interval
from uvicorn.command.listening import shown
from uvicorn.command.peers import GunicornPeers
from uvicorn.command.serving import Serving
from uvicorn.command.serving_settings import Frame
from uvicorn.command.settings import are_threads_given
from uvicorn.command.standard_log import AccessLog
from uvicorn.command.start_report import Start, start_lines, start_of
from uvicorn.errors import StartupError

__all__ = ["Prepared", "close", "prepare", "report_start", "start_application", "unless"]

logger: Final = logging.getLogger("uvicorn.error")

_LOOK_SECONDS: Final = 0.1  # between two looks at what other threads may have set


class Prepared(NamedTuple):
    """What serves the application, and what a server has to know of its settings.

    Attributes:
        drain_delay: our setting, in seconds.
        start: the numbers that are said at the start; the addresses are not known yet.
        contents: what is served.
    """

    serving: Serving
    drain_delay: float
    start: Start
    contents: Sequence[Served]


def prepare(config: Config, loop: asyncio.AbstractEventLoop, on_most_requests: Callable[[], None]) -> Prepared:
    """Make what serves the application; `close` is its end.

    Raises: SystemExit, with one line in the log, if the application cannot be served; ConfigError.
    """
    cfg = config.settings_in_process()
    settings = config.checked_settings(cfg)
    jitter = random.randint(0, cfg.max_requests_jitter) if cfg.max_requests else 0
    frame = Frame(
        threads=cfg.threads,
        are_threads_given=are_threads_given(cfg.threads),
        connections=cfg.worker_connections,
        lifespan=cfg.asgi_lifespan,
        root_path=config.root_path,
        upload_folder=cfg.tmp_upload_dir,
        shows_errors=False,
        most_requests=cfg.max_requests + jitter if cfg.max_requests else sys.maxsize,
        is_alone=False,
    )
    for message in check_http2(cfg, settings.http2_engine):
        logger.warning("%s", message)
    http2, http2_name = make_http2(cfg, settings.http2_engine, settings.limits)
    application = config.application()
    shorten_switch_interval(settings.switch_interval)
    try:
        serving = Serving(
            loop,
            application,
            settings,
            frame,
            GunicornPeers(cfg, settings.forwarded_fields),
            logger,
            report=AccessLog() if AccessLog.wanted() else None,
            on_most_requests=on_most_requests,
            http2=http2,
        )
    except BaseException:
        restore_switch_interval()
        raise
    start = start_of([], cfg, settings, 1, serving.dispatcher.pool.threads, http2_name)
    return Prepared(serving, settings.drain_delay, start, served(application))


def close(serving: Serving) -> None:
    """Leave nothing of it in the process."""
    serving.close()
    restore_switch_interval()


async def start_application(serving: Serving, is_told: Callable[[], bool]) -> bool:
    """Return whether the application has started; why it has not is in the log.

    Args:
        is_told: whether the server is told to stop: then it is not waited for.
    """
    if serving.lifecycle.is_empty:
        return True
    logger.info("Waiting for application startup.")
    try:
        await unless(is_told, serving.lifecycle.start())
    except asyncio.CancelledError:
        if not is_told():
            raise
        logger.info("Told to stop while the application started.")
    except StartupError as error:
        logger.error("%s", error, exc_info=error.__cause__)
        logger.error("Application startup failed. Exiting.")
    except Exception:
        logger.exception("Application startup failed. Exiting.")
    else:
        logger.info("Application startup complete.")
        return True
    return False


async def unless(is_over: Callable[[], bool], work: Awaitable[Any]) -> None:
    """Wait for something; break it off if something else is said meanwhile. Raises: CancelledError then."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=_LOOK_SECONDS)
            if is_over() and not task.done():
                raise asyncio.CancelledError
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_LOOK_SECONDS)
    task.result()


def report_start(config: Config, prepared: Prepared, sockets: Sequence[socket.socket]) -> None:
    """Write into the log what is served, and where."""
    if config.fd is not None:
        where = f"socket {sockets[0].getsockname()}"
    else:
        where = ", ".join(shown(sock, "https" if config.is_ssl else "http") for sock in sockets)
    start = prepared.start._replace(addresses=[where])
    plain, painted = (start_lines(start, prepared.contents, paint) for paint in (False, True))
    for line, with_colours in zip(plain, painted, strict=True):
        logger.info(line, extra={"color_message": with_colours})
    text = "Uvicorn running on %s (Press CTRL+C to quit)"
    logger.info(text, where, extra={"color_message": text.replace("%s", "\033[1m%s\033[0m")})
