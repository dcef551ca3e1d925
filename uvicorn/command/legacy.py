"""`--channels1`: consumers of Channels 1 run with their imports and settings as they are."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from gunicorn.errors import AppImportError

from uvicorn.command.settings import Settings, is_given, read

if TYPE_CHECKING:
    from gunicorn.config import Config

__all__ = ["prepare", "with_layer"]


def prepare(cfg: Config) -> None:
    """Have `import channels` find ours, and set Django up if its settings are known, if `channels1` asks for it.

    Raises: AppImportError with one sentence; what Django's own setup raises.
    """
    if not read(cfg)["channels1"]:
        return
    from uvicorn.channels1.alias import install
    from uvicorn.errors import StartupError

    try:
        install()
    except StartupError as error:
        raise AppImportError(str(error)) from None
    if "DJANGO_SETTINGS_MODULE" in os.environ:
        import django

        django.setup(set_prefix=False)


def with_layer(settings: Settings, cfg: Config) -> Settings:
    """Return the settings with the layer of CHANNEL_LAYERS, if nobody has named one and `import channels` finds ours.

    Called when the application is loaded: only then it is known which layer there is.

    Raises: AppImportError with one sentence, also for other settings that this layer cannot be with.
    """
    try:
        layer = settings.layer
        if not is_given(cfg, "channel_layer") and (url := _url_of_channel_layers()):
            layer = layer._replace(url=url)
        layer.check()
    except ValueError as error:
        raise AppImportError(str(error)) from None
    return settings._replace(layer=layer)


def _url_of_channel_layers() -> str:
    """Return the URL of the default layer of CHANNEL_LAYERS, or "". Raises: ValueError."""
    if "uvicorn.channels1" not in sys.modules:
        return ""
    from uvicorn.channels1.alias import is_installed

    if not is_installed():
        return ""
    from uvicorn.channels1.asgi import channel_layers
    from uvicorn.channels1.names import DEFAULT_CHANNEL_LAYER
    from uvicorn.layers.urls import check_url

    return check_url(channel_layers[DEFAULT_CHANNEL_LAYER].url)
