"""From a URL to a layer, for a worker."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from uvicorn.errors import StartupError
from uvicorn.layers.encoding import HOW_MSGPACK
from uvicorn.layers.layer import Layer
from uvicorn.layers.limits import ChannelLimits
from uvicorn.layers.local import LocalLayer
from uvicorn.layers.local_place import Place
from uvicorn.layers.urls import REDIS_SCHEMES, shown_url

__all__ = ["DEFAULT_LAYER", "open_layer"]

DEFAULT_LAYER: Final = "local://"


def open_layer(url: str, place: str | None, limits: ChannelLimits, log: Any) -> Layer:
    """Make the layer that a URL names; it does nothing before it is started.

    Args:
        place: where the workers of one master find each other, for "local://".

    Raises: StartupError with one sentence for what is wrong in the URL, and for a package that is not installed. But
        for the default layer: whoever uses no groups shall not miss what they need.
    """
    if not _is_installed("msgpack"):
        if url != DEFAULT_LAYER:
            raise StartupError(f"{shown_url(url)} needs msgpack, which is not installed: {HOW_MSGPACK}")
        log.warning("Groups and channels cannot be used: msgpack is not installed. %s", HOW_MSGPACK)
        return LocalLayer(url, None, limits, log)
    if urlsplit(url).scheme in REDIS_SCHEMES:
        if not _is_installed("redis"):
            raise StartupError(f"{shown_url(url)} needs redis-py, which is not installed: pip install 'uvicorn[redis]'")
        from uvicorn.layers.redis_layer import RedisLayer
        from uvicorn.layers.redis_servers import RedisAddress

        try:
            return RedisLayer(RedisAddress(url), limits, log)
        except ValueError as error:
            raise StartupError(str(error)) from None
    if urlsplit(url).scheme == "asgi+django":
        from uvicorn.layers.django_layer import DjangoLayer

        return DjangoLayer(url, log)
    path = unquote(urlsplit(url).path) or place
    return LocalLayer(shown_url(url), Place(path) if path else None, limits, log)


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ImportError:
        return False
