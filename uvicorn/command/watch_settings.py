"""Our settings for what a worker watches, and tells: one class each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from uvicorn.command.setting_types import OurSetting, seconds
from uvicorn.watching.watching import WatchSettings

__all__ = ["WATCH_SETTINGS", "watch_settings"]


class LoopBlockWarning(OurSetting):
    name = "loop_block_warning"
    cli: ClassVar = ["--loop-block-warning"]
    meta = "SECONDS"
    type = float
    validator = seconds("loop_block_warning")
    default = 0.25
    desc = """\
        Seconds for which the event loop may not turn before the log names what keeps it; 0 for never.

        A thread looks five times in that time. The same line of code is named once a minute.
        """


WATCH_SETTINGS: Final = (LoopBlockWarning,)


def watch_settings(ours: Mapping[str, Any]) -> WatchSettings:
    """Return what these settings say."""
    return WatchSettings(**{setting.name: ours[setting.name] for setting in WATCH_SETTINGS})
