"""From a URL to a layer, for a worker."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from uvicorn.layers.layer import Layer
from uvicorn.layers.limits import ChannelLimits
from uvicorn.layers.local import LocalLayer
from uvicorn.layers.local_place import Place
from uvicorn.layers.urls import REDIS_SCHEMES, shown_url

__all__ = ["open_layer"]


def open_layer(url: str, place: str | None, limits: ChannelLimits, log: Any) -> Layer:
    """Make the layer that a URL names; it does nothing before it is started.

    Args:
        place: where the workers of one master find each other, for "local://".

    Raises: ValueError for what is wrong in the URL; ImportError with a sentence if redis-py is not installed.
    """
    if urlsplit(url).scheme in REDIS_SCHEMES:
        try:
            import redis
        except ImportError:
            raise ImportError(f"{shown_url(url)} needs redis-py: pip install 'uvicorn[redis]'") from None
        from uvicorn.layers.redis_layer import RedisLayer
        from uvicorn.layers.redis_servers import RedisAddress

        assert redis is not None
        return RedisLayer(RedisAddress(url), limits, log)
    if urlsplit(url).scheme == "asgi+django":
        from uvicorn.layers.django_layer import DjangoLayer

        return DjangoLayer(url, log)
    path = unquote(urlsplit(url).path) or place
    return LocalLayer(shown_url(url), Place(path) if path else None, limits, log)
