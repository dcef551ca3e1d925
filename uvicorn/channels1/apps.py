"""`channels` in INSTALLED_APPS: the data bindings begin to listen when all models are there."""

from __future__ import annotations

import sys

from django.apps import AppConfig

from uvicorn.channels1.alias import install

__all__ = ["ChannelsConfig"]

install()  # for who has 'uvicorn.channels1' there


class ChannelsConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    """The application `channels`."""

    name = "channels"
    verbose_name = "Channels"

    def ready(self) -> None:
        """Connect the data bindings to the signals of their models; have `runserver` be ours."""
        from uvicorn.channels1.binding.base import BindingMetaclass

        BindingMetaclass.register_all()
        if sys.argv[1:2] == ["runserver"]:
            from django.core.management import get_commands

            # Also where django.contrib.staticfiles, which has one, stands before us: Django takes the first.
            get_commands()["runserver"] = self.name
