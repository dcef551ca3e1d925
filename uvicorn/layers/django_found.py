"""From a URL `asgi+django://...` to the object that it names: a layer of Channels 4, or anything with its interface."""

from __future__ import annotations

import importlib
from typing import Any, Final
from urllib.parse import urlsplit

from uvicorn.errors import StartupError

__all__ = ["found_layer"]

_NEEDED: Final = ("send", "receive", "new_channel", "group_add", "group_discard", "group_send")


def found_layer(url: str) -> Any:
    """Return the object that a URL names.

    Raises: StartupError with one sentence.
    """
    parts = urlsplit(url)
    name = parts.netloc + parts.path
    module, colon, attribute = name.partition(":")
    layer = _imported(url, module, attribute) if colon else _configured(url, name or "default")
    missing = [method for method in _NEEDED if not callable(getattr(layer, method, None))]
    if missing:
        raise StartupError(f"{url} is no channel layer of Channels 4: it has no {', '.join(missing)}")
    return layer


def _imported(url: str, module: str, attribute: str) -> Any:
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise StartupError(f"{url} cannot be found: {error}") from _cause(error)
    if hasattr(found, "group_send") and not isinstance(found, type):
        return found
    try:
        return found()
    except Exception as error:
        raise StartupError(f"{url} cannot be made: {type(error).__name__}: {error}") from error


def _configured(url: str, name: str) -> Any:
    try:
        from channels.layers import get_channel_layer
    except ImportError as error:
        raise StartupError(f"{url} needs Channels 4, which cannot be imported: {error}") from _cause(error)
    try:
        layer = get_channel_layer(name)
    except Exception as error:  # Django is not set up, or the backend cannot be imported or made
        raise StartupError(f"{url} cannot be made: {type(error).__name__}: {error}") from error
    if layer is None:
        raise StartupError(f"{url} cannot be found: CHANNEL_LAYERS of Django's settings has no {name!r}")
    return layer


def _cause(error: Exception) -> Exception | None:
    """Return what is worth a traceback: an error in the module itself, and not that it is not there."""
    return None if isinstance(error, (ModuleNotFoundError, AttributeError, ValueError)) else error
