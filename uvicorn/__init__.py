"""Serve message-style ASGI consumers, synchronous and asynchronous, with one Gunicorn command."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from uvicorn import variant

variant.choose()  # before anything else of the package is imported

# ruff: noqa: E402
from uvicorn import bridge
from uvicorn.applications.detect import asgi, consumer, wsgi
from uvicorn.applications.mounting import mount
from uvicorn.applications.origins import is_allowed_origin, origin_of
from uvicorn.applications.router import Router
from uvicorn.applications.routing import include, route, route_class
from uvicorn.bridge.consumer import runs_long, streams_body, streams_slowly
from uvicorn.errors import (
    BodyTooLarge,
    ChannelClosed,
    ChannelFull,
    ChannelLayerUnavailable,
    ReadTimeout,
    ReplyError,
    ServerStopping,
    StartupError,
    UvicornError,
    WrongSide,
)
from uvicorn.layers.groups import Channel, Group
from uvicorn.messages import Message

if TYPE_CHECKING:
    from uvicorn.applications.static import static
    from uvicorn.command.config import Config
    from uvicorn.command.run import run
    from uvicorn.command.server import Server
    from uvicorn.command.worker import ASGIWorker

# Above every release of the other package of this name, so that requirements such as "uvicorn>=0.30" are met.
__version__ = "1.0.0"

__all__ = [
    "ASGIWorker",
    "BodyTooLarge",
    "Channel",
    "ChannelClosed",
    "ChannelFull",
    "ChannelLayerUnavailable",
    "Config",
    "Group",
    "Message",
    "ReadTimeout",
    "ReplyError",
    "Router",
    "Server",
    "ServerStopping",
    "StartupError",
    "UvicornError",
    "WrongSide",
    "asgi",
    "bridge",
    "consumer",
    "include",
    "is_allowed_origin",
    "mount",
    "origin_of",
    "route",
    "route_class",
    "run",
    "runs_long",
    "static",
    "streams_body",
    "streams_slowly",
    "wsgi",
]


_LATER = {
    "ASGIWorker": "uvicorn.command.worker",
    "Config": "uvicorn.command.config",
    "Server": "uvicorn.command.server",
    "run": "uvicorn.command.run",
    "static": "uvicorn.applications.static",
}


#: what the other package of this name imports at once; `main` is a module that can be called
_MODULES = (
    "config",
    "importer",
    "logging",
    "main",
    "middleware",
    "server",
    "supervisors",
    "workers",
    "_types",
    "_compat",
)


def __getattr__(name: str) -> Any:
    """Import what serves when it is asked for: applications import this package without it."""
    if name in _MODULES:
        return import_module(f"uvicorn.{name}")
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
