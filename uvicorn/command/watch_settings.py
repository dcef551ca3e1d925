"""Our settings for what a worker watches, and tells: one class each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from uvicorn.command.setting_types import OurSetting, address, folder, seconds, url_path, whole
from uvicorn.watching.settings import Bounds, HealthSettings, WatchSettings

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


class StatusDir(OurSetting):
    name = "status_dir"
    cli: ClassVar = ["--status-dir"]
    meta = "PATH"
    validator = folder("status_dir")
    default = "auto"
    desc = """\
        Directory for the sockets by which ``uvicorn status``, ``uvicorn top`` and ``uvicorn dump`` ask the workers.

        ``auto``: ``$RUNTIME_DIRECTORY``, ``$XDG_RUNTIME_DIR`` or the system's directory for temporary files. ``off``:
        there are none. Only root and the users of the worker and its master are answered.
        """


class MetricsBind(OurSetting):
    name = "metrics_bind"
    cli: ClassVar = ["--metrics-bind"]
    meta = "ADDRESS"
    validator = address("metrics_bind")
    default = ""
    desc = """\
        ``HOST:PORT`` at which Prometheus reads the numbers of all workers; empty, the default, for none.

        It needs ``prometheus_client``: ``pip install uvicorn[metrics]``.
        """


class HealthPath(OurSetting):
    name = "health_path"
    cli: ClassVar = ["--health-path"]
    meta = "PATH"
    validator = url_path("health_path")
    default = ""
    desc = """\
        Path such as ``/-/health``, below which ``live``, ``ready`` and ``startup`` are answered by the event loop,
        before any queue; empty, the default, for none.
        """


class ReadyMaxWait(OurSetting):
    name = "ready_max_wait"
    cli: ClassVar = ["--ready-max-wait"]
    meta = "SECONDS"
    type = float
    validator = seconds("ready_max_wait")
    default = 1.0
    desc = """\
        Seconds that the first request may wait for a thread of a full pool; longer, for ``ready_grace``, and the worker
        is not ready.
        """


class ReadyGrace(OurSetting):
    name = "ready_grace"
    cli: ClassVar = ["--ready-grace"]
    meta = "SECONDS"
    type = float
    validator = seconds("ready_grace")
    default = 5.0
    desc = """\
        Seconds for which a pool may be full with a wait over ``ready_max_wait`` before the worker is not ready.
        """


class MaxRss(OurSetting):
    name = "max_rss"
    cli: ClassVar = ["--max-rss"]
    meta = "BYTES"
    type = int
    validator = whole("max_rss", "bytes")
    default = 0
    desc = """\
        Resident memory, in bytes, past which a worker is replaced in its turn; 0, the default, for no bound.
        """


class MaxRssHard(OurSetting):
    name = "max_rss_hard"
    cli: ClassVar = ["--max-rss-hard"]
    meta = "BYTES"
    type = int
    validator = whole("max_rss_hard", "bytes")
    default = 0
    desc = """\
        Resident memory, in bytes, past which a worker leaves at once, whatever it is doing; 0, the default, for no
        bound.
        """


class MaxAge(OurSetting):
    name = "max_age"
    cli: ClassVar = ["--max-age"]
    meta = "SECONDS"
    type = float
    validator = seconds("max_age")
    default = 0.0
    desc = """\
        Seconds after which a worker is replaced in its turn, and up to a tenth more; 0, the default, for never.
        """


class DrainDelay(OurSetting):
    name = "drain_delay"
    cli: ClassVar = ["--drain-delay"]
    meta = "SECONDS"
    type = float
    validator = seconds("drain_delay")
    default = 0.0
    desc = """\
        Seconds for which all workers go on accepting when the server stops, while ``ready`` below ``health_path`` says
        no; 0, the default, for none. They are part of ``graceful_timeout``.
        """


WATCH_SETTINGS: Final = (
    LoopBlockWarning, PoolWaitWarning, SlowConsumerWarning, StatusDir, MetricsBind, HealthPath, ReadyMaxWait,
    ReadyGrace, DrainDelay, MaxRss, MaxRssHard, MaxAge,
)  # fmt: skip
_OF_THE_WATCH: Final = ("loop_block_warning", "pool_wait_warning", "slow_consumer_warning", "status_dir")


def watch_settings(ours: Mapping[str, Any]) -> WatchSettings:
    """Return what these settings say."""
    health = HealthSettings(ours["health_path"], ours["ready_max_wait"], ours["ready_grace"])
    bounds = Bounds(ours["max_rss"], ours["max_rss_hard"], ours["max_age"])
    return WatchSettings(**{name: ours[name] for name in _OF_THE_WATCH}, health=health, bounds=bounds)
