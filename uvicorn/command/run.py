"""`uvicorn.run`: serve from Python, in this process or under Gunicorn's master."""

from __future__ import annotations

import inspect
import logging
import os
import sys
from typing import Any, Final

from uvicorn.command.config import Config
from uvicorn.command.interpreter import seldom_collecting
from uvicorn.command.log_setup import WrongValue
from uvicorn.command.server import Server

__all__ = ["run"]

logger: Final = logging.getLogger("uvicorn.error")

STARTUP_FAILURE: Final = 3


def run(app: Any, *, app_dir: str | None = None, **options: Any) -> None:
    """Serve an application until told to stop.

    With one worker and without `reload` it is served in this process and this thread; otherwise by workers under
    Gunicorn's master, which this process becomes meanwhile. What is after the call is executed either way.

    Args:
        app: an application of any kind that this server knows, or its name, "module:name".
        app_dir: a folder in which modules are looked for first.
        options: the parameters of `Config`; and settings, by their names.

    Raises: TypeError for an unknown parameter; SystemExit if the application cannot be loaded or started, the server
        cannot listen, or a parameter names a file or a level that is not there. Blocks: until the server has stopped.
    """
    if app_dir is not None:
        sys.path.insert(0, app_dir)
    try:
        config = Config(app, **options)
    except WrongValue as error:
        sys.exit(f"Error: {error}")
    if config.reload and not isinstance(app, str):
        logger.warning("You must pass the application as an import string to enable 'reload' or 'workers'.")
        sys.exit(1)
    try:
        if config.use_subprocess:
            from uvicorn.command.run_master import run_master  # one process needs no master, nor its memory

            run_master(config)
            return
        server = Server(config)
        try:
            with seldom_collecting():
                server.run()
        except KeyboardInterrupt:
            pass  # the INT that has stopped it
        except Exception as error:
            from uvicorn.applications.failures import part_of_application  # seldom

            raise error.with_traceback(part_of_application(error))  # noqa: B904  # it is the same one
    finally:
        if config.uds and os.path.exists(config.uds):
            os.remove(config.uds)
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def _signature() -> inspect.Signature:
    """Return the signature of `run`: the parameters of `Config`, by their names."""
    own, *others = inspect.signature(Config).parameters.values()
    named = [each.replace(kind=each.KEYWORD_ONLY) if each.kind != each.VAR_KEYWORD else each for each in others]
    folder = inspect.signature(run).parameters["app_dir"]
    return inspect.Signature([own, *named[:-1], folder, named[-1]], return_annotation="None")


run.__signature__ = _signature()  # type: ignore[attr-defined]  # what help() and editors show
