"""What the server makes of the shapes of Channels 1: see `uvicorn.applications.shapes`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from uvicorn.applications.routes import LifecycleHooks
from uvicorn.applications.shapes import register
from uvicorn.channels1.asgi import ChannelLayerWrapper, channel_layers
from uvicorn.channels1.backends import ServerLayer
from uvicorn.channels1.entries import entry_of
from uvicorn.channels1.routing import Include, Route, Router
from uvicorn.channels1.used_django import is_used

__all__ = ["teach"]


def teach() -> None:
    """Have the server take routes, lists of them and layers of Channels 1."""
    register(_entry, _whole)


def _entry(given: Any) -> Any:
    if isinstance(given, (Route, Include)):
        return entry_of(given)
    if isinstance(given, Router):
        return entry_of(given.root)
    return given


def _whole(loaded: Any) -> Any:
    """Return the routes of what was loaded, with what Channels 1 put behind them."""
    if isinstance(loaded, ServerLayer):
        loaded = channel_layers[loaded.alias]
    if isinstance(loaded, ChannelLayerWrapper):
        loaded = loaded.routing
        if isinstance(loaded, str):
            loaded = Router.resolve_routing(loaded)
    if isinstance(loaded, Mapping):
        loaded = Router(loaded)
    if isinstance(loaded, (Route, Include, Router)):
        loaded = [loaded]
    if isinstance(loaded, (list, tuple)) and any(isinstance(entry, (Route, Include, Router)) for entry in loaded):
        return [*loaded, *_defaults()]
    return loaded


def _defaults() -> list[Any]:
    """Return what Channels 1 put behind the routes of a project; nothing where Django is not used."""
    if not is_used():
        return []
    from django.apps import apps

    if not apps.ready:
        return []
    router = Router([])
    router.check_default(_static_files())
    return [entry_of(router.root, LifecycleHooks((_tell_ready,)))]


def _tell_ready() -> None:
    """Send the signals that a worker of Channels 1 sent when it began."""
    from uvicorn.channels1.signals import worker_process_ready, worker_ready

    worker_process_ready.send(sender=None)
    worker_ready.send(sender=None)


def _static_files() -> Any:
    from django.apps import apps
    from django.conf import settings

    if not (settings.DEBUG and apps.is_installed("django.contrib.staticfiles")):
        return None
    from uvicorn.channels1.staticfiles import StaticFilesConsumer

    return StaticFilesConsumer()
