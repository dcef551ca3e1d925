"""The application of a `uvicorn.Config`: imported, made by its factory, and made something that can be served."""

from __future__ import annotations

import contextlib
import inspect
import logging
import sys
from collections.abc import Iterator
from typing import Any, Final

from gunicorn.errors import AppImportError

from uvicorn.applications.detect import interface_of
from uvicorn.applications.loading import is_site, load_application, load_site, make_application
from uvicorn.applications.router import Router, SingleConsumer
from uvicorn.bridge.consumer import Consumer
from uvicorn.errors import ConsumerError

__all__ = ["application_of", "exit_if_wrong", "imported", "made_by_factory"]

logger: Final = logging.getLogger("uvicorn.error")

_STARTUP_FAILURE: Final = 1
_MADE: Final = (Router, SingleConsumer, Consumer)  # what is known already


@contextlib.contextmanager
def exit_if_wrong() -> Iterator[None]:
    """A context manager that exits with one line in the log, if the application is wrong. Raises: SystemExit."""
    try:
        yield
    except AppImportError as error:
        logger.error("Error loading ASGI app. %s", error)
        sys.exit(_STARTUP_FAILURE)


def imported(name: str, interface: str) -> Any:
    """Return what has this name. Raises: AppImportError; what its own import raises."""
    return load_site(name, interface) if is_site(name) else load_application(name)


def made_by_factory(app: Any, is_factory: bool) -> Any:
    """Return what a factory makes; an application that is none itself.

    Args:
        is_factory: somebody has said so; otherwise a plain function without parameters is taken for one.

    Raises: SystemExit, with one line in the log.
    """
    if is_factory:
        try:
            return app()
        except TypeError as error:
            logger.error("Error loading ASGI app factory: %s", error)
            sys.exit(_STARTUP_FAILURE)
    if _is_factory(app):
        logger.warning("ASGI app factory detected. Using it, but please consider setting the --factory flag.")
        return app()
    return app


def application_of(app: Any, interface: str, uri: str) -> Router | SingleConsumer:
    """Return what is served.

    Args:
        uri: its name, for messages.

    Raises: SystemExit, with one line in the log, if it cannot be served.
    """
    if interface == "auto" and callable(app) and not isinstance(app, _MADE):
        # If that is wrong, it is said below, with what can be done.
        with contextlib.suppress(ConsumerError):
            interface = interface_of(app, unknown="asgi")
    with exit_if_wrong():
        made = make_application(app, uri, interface.replace("asgi3", "asgi"))
    # A Router is an application itself: a copy may be served by another server of this process.
    return made.moved(lambda consumer: consumer.replaced()) if isinstance(made, Router) else made


def _is_factory(app: Any) -> bool:
    """Whether this is a plain function without parameters: it can be called for nothing but to make something."""
    if not inspect.isfunction(app) or inspect.iscoroutinefunction(app):
        return False
    return not inspect.signature(app).parameters
