"""`channels` in INSTALLED_APPS: the data bindings begin to listen when all models are there."""

from __future__ import annotations

from django.apps import AppConfig

from uvicorn.channels1.alias import install

__all__ = ["ChannelsConfig"]

install()  # for who has 'uvicorn.channels1' there


class ChannelsConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    """The application `channels`."""

    name = "channels"
    verbose_name = "Channels"

    def ready(self) -> None:
        """Connect the data bindings to the signals of their models."""
        from uvicorn.channels1.binding.base import BindingMetaclass

        BindingMetaclass.register_all()
