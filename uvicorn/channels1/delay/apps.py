"""`channels.delay` in INSTALLED_APPS."""

from __future__ import annotations

from django.apps import AppConfig

__all__ = ["DelayConfig"]


class DelayConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    """An application that is empty: the layer keeps delayed messages."""

    name = "channels.delay"
    label = "channels_delay"
    verbose_name = "Channels Delay"
