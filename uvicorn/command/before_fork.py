"""What is checked and prepared before the first worker is forked: the settings, the log, and Gunicorn's own master."""

from __future__ import annotations

from typing import Any

from gunicorn.errors import ConfigError

from uvicorn.command import compatibility
from uvicorn.command.attending import check_attending
from uvicorn.command.interpreter import spare_shared_memory
from uvicorn.command.log_presets import keep_dressed, prepare_log
from uvicorn.command.loops import loop_factory
from uvicorn.command.plain_master import adjust_master
from uvicorn.command.settings import Settings

__all__ = ["check_after_reload", "check_and_prepare"]


def check_and_prepare(cfg: Any, log: Any) -> None:
    """Refuse settings that we cannot serve, and name those that have no effect. Runs on: the master.

    Raises: RuntimeError, which Gunicorn prints as one line.
    """
    try:
        settings = Settings.from_config(cfg)
        loop_factory(settings.loop_factory)
    except (ConfigError, ValueError, ImportError, AttributeError) as error:
        raise RuntimeError(str(error)) from None
    prepare_log(log, cfg, settings)
    keep_dressed(log)
    check_attending(settings.attending)
    given = getattr(cfg, "uvicorn_warnings", ())
    for message in (*given, *compatibility.check(cfg, settings.http2_engine)):
        log.warning(message)
    if settings.drain_delay >= cfg.graceful_timeout:
        log.warning(
            "drain_delay (%g seconds) leaves nothing of graceful_timeout (%s) for requests",
            settings.drain_delay,
            cfg.graceful_timeout,
        )
    adjust_master(cfg)
    spare_shared_memory()


def check_after_reload(cfg: Any, http2_engine: str, log: Any) -> None:
    """Tell of what the master would have refused: Gunicorn does not ask it when it reloads. Runs on: a worker."""
    try:
        compatibility.check(cfg, http2_engine)
    except RuntimeError as error:
        log.error("%s (ignored until the next start)", error)
