"""Our setting for consumers of Channels 1."""

from __future__ import annotations

from typing import ClassVar

from uvicorn.command.setting_types import OurSetting, on_or_off

__all__ = ["LEGACY_SETTINGS"]


class Channels1(OurSetting):
    name = "channels1"
    cli: ClassVar = ["--channels1"]
    action = "store_true"
    validator = on_or_off("channels1")
    default = False
    desc = """\
        Run a project of Channels 1 with its imports as they are: ``channels`` is found in ``uvicorn.channels1``, and
        ``CHANNEL_LAYERS`` in Django's settings gives routes and layer.
        """


LEGACY_SETTINGS = (Channels1,)
