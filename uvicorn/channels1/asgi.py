"""The layers of Django's CHANNEL_LAYERS: `channel_layers["default"]`, and `get_channel_layer()` for an `asgi.py`.

A `BACKEND` is not imported: it names a layer of this server (`backends.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from uvicorn.channels1.backends import InvalidChannelLayerError, layer_of
from uvicorn.channels1.names import DEFAULT_CHANNEL_LAYER
from uvicorn.channels1.routing import Router
from uvicorn.channels1.used_django import is_configured

__all__ = [
    "ChannelLayerManager",
    "ChannelLayerWrapper",
    "InvalidChannelLayerError",
    "channel_layers",
    "get_channel_layer",
]


class ChannelLayerWrapper:
    """A layer, its alias, and the routes for what comes through it.

    Attributes:
        routing: as it was given; the `router` is made when it is asked for.
    """

    def __init__(self, channel_layer: Any, alias: str, routing: Any) -> None:
        self.channel_layer = channel_layer
        self.alias = alias
        self.routing = routing
        self._router: Router | None = None

    @property
    def router(self) -> Router:
        """The routes."""
        if self._router is None:
            self._router = Router(self.routing)
        return self._router

    @router.setter
    def router(self, router: Router) -> None:
        self._router = router

    def __getattr__(self, name: str) -> Any:
        return getattr(self.channel_layer, name)

    def __str__(self) -> str:
        return f"{self.alias} ({type(self.channel_layer).__qualname__})"

    def local_only(self) -> bool:
        """Whether it reaches this process only."""
        return bool(getattr(self.channel_layer, "is_local", True))


class ChannelLayerManager:
    """The layers of CHANNEL_LAYERS, by their alias; each is made when it is asked for."""

    def __init__(self) -> None:
        self.backends: dict[str, ChannelLayerWrapper] = {}

    @property
    def configs(self) -> Mapping[str, Any]:
        """CHANNEL_LAYERS; one without a name for routes, if there are no settings."""
        found: Any = None
        if is_configured():
            from django.conf import settings

            found = getattr(settings, "CHANNEL_LAYERS", None)
        return found or {DEFAULT_CHANNEL_LAYER: {"BACKEND": "asgiref.inmemory.ChannelLayer", "ROUTING": []}}

    def make_backend(self, name: str) -> ChannelLayerWrapper:
        """Make a layer. Raises: InvalidChannelLayerError that says what is wrong with its settings."""
        return self._make(name, self._config(name).get("CONFIG", {}))

    def make_test_backend(self, name: str) -> ChannelLayerWrapper:
        """Make a layer of its TEST_CONFIG. Raises: InvalidChannelLayerError."""
        config = self._config(name)
        if "TEST_CONFIG" not in config:
            raise InvalidChannelLayerError(f"CHANNEL_LAYERS[{name!r}] has no TEST_CONFIG")
        return self._make(name, config["TEST_CONFIG"])

    def _config(self, name: str) -> Mapping[str, Any]:
        try:
            config: Mapping[str, Any] = self.configs[name]
        except KeyError:
            raise InvalidChannelLayerError(f"CHANNEL_LAYERS has no {name!r}") from None
        return config

    def _make(self, name: str, arguments: Mapping[str, Any]) -> ChannelLayerWrapper:
        config = self._config(name)
        for key in ("BACKEND", "ROUTING"):
            if key not in config:
                raise InvalidChannelLayerError(f"CHANNEL_LAYERS[{name!r}] has no {key}")
        return ChannelLayerWrapper(layer_of(name, config["BACKEND"], arguments), name, config["ROUTING"])

    def __getitem__(self, key: str) -> ChannelLayerWrapper:
        if key not in self.backends:
            self.backends[key] = self.make_backend(key)
        return self.backends[key]

    def __contains__(self, key: str) -> bool:
        return key in self.configs

    def set(self, key: str, layer: ChannelLayerWrapper | None) -> ChannelLayerWrapper | None:
        """Put a layer in the place of another one, which is returned: for tests."""
        old = self.backends.pop(key, None)
        if layer is not None:
            self.backends[key] = layer
        return old


channel_layers = ChannelLayerManager()


def get_channel_layer(alias: str = DEFAULT_CHANNEL_LAYER) -> Any:
    """Set Django up, and return a layer: what `uvicorn project.asgi:channel_layer` serves."""
    import django

    django.setup(set_prefix=False)
    return channel_layers[alias].channel_layer
