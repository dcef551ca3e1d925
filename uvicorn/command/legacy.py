"""`--channels1`: consumers of Channels 1 run with their imports and settings as they are."""

from __future__ import annotations

import os
import sys

from gunicorn.config import Config
from gunicorn.errors import AppImportError

from uvicorn.command.settings import Settings, read

__all__ = ["prepare", "with_layer"]

_DEFAULT_LAYER = "local://"


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


def with_layer(settings: Settings) -> Settings:
    """Return the settings with the layer of CHANNEL_LAYERS, if they name none and `import channels` finds ours.

    Raises: AppImportError with one sentence.
    """
    if settings.layer.url != _DEFAULT_LAYER or "uvicorn.channels1" not in sys.modules:
        return settings
    from uvicorn.channels1.alias import is_installed

    if not is_installed():
        return settings
    from uvicorn.channels1.asgi import channel_layers
    from uvicorn.channels1.names import DEFAULT_CHANNEL_LAYER
    from uvicorn.layers.urls import check_url

    try:
        url = check_url(channel_layers[DEFAULT_CHANNEL_LAYER].url)
    except ValueError as error:
        raise AppImportError(str(error)) from None
    return settings._replace(layer=settings.layer._replace(url=url))
