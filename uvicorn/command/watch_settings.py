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


class PoolWaitWarning(OurSetting):
    name = "pool_wait_warning"
    cli: ClassVar = ["--pool-wait-warning"]
    meta = "SECONDS"
    type = float
    validator = seconds("pool_wait_warning")
    default = 1.0
    desc = """\
        Seconds that a request may wait for a thread before the log names who holds them; 0 for never.

        It is told once when that begins, and once when it is over.
        """


class SlowConsumerWarning(OurSetting):
    name = "slow_consumer_warning"
    cli: ClassVar = ["--slow-consumer-warning"]
    meta = "SECONDS"
    type = float
    validator = seconds("slow_consumer_warning")
    default = 10.0
    desc = """\
        Seconds that a consumer may run without a sign of life before the log has its stack; 0 for never.

        It is told once more when it has ended. Consumers that are declared long (``runs_long``), coroutines whose
        response has begun, and those of sockets are never told.
        """


WATCH_SETTINGS: Final = (LoopBlockWarning, PoolWaitWarning, SlowConsumerWarning)


def watch_settings(ours: Mapping[str, Any]) -> WatchSettings:
    """Return what these settings say."""
    return WatchSettings(**{setting.name: ours[setting.name] for setting in WATCH_SETTINGS})
