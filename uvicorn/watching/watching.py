"""Everything that watches one worker, put together: started with its server, looked after once a second, stopped."""

from __future__ import annotations

import time
from dataclasses import dataclass

from uvicorn.bridge.dry import DryWatch
from uvicorn.bridge.garbage import GarbagePauses
from uvicorn.bridge.loop_watch import LoopWatch, Watchdog
from uvicorn.bridge.slow import SlowWatch
from uvicorn.connections.service import Service
from uvicorn.watching.looks import WorkerLooks

__all__ = ["WatchSettings", "Watching"]


@dataclass(frozen=True)
class WatchSettings:
    """What is watched, and from when on it is told. All in seconds; 0 for never."""

    loop_block_warning: float = 0.25
    pool_wait_warning: float = 1.0
    slow_consumer_warning: float = 10.0


class Watching:
    """What watches one worker. All methods run on: the loop."""

    def __init__(self, service: Service, settings: WatchSettings) -> None:
        pools = service.dispatcher.all_pools
        self.garbage = GarbagePauses()
        self.dry = DryWatch(pools, time.monotonic, service.log, settings.pool_wait_warning)
        self.slow = SlowWatch(service.dispatcher, time.monotonic, service.log, settings.slow_consumer_warning)
        self.loop_watch: LoopWatch | None = None
        self._watchdog: Watchdog | None = None
        if settings.loop_block_warning:
            self.loop_watch = LoopWatch(
                service.outbox,
                service.log,
                settings.loop_block_warning,
                WorkerLooks(service),
                self.garbage,
                service.outbox.loop_native_id,
            )
            self._watchdog = Watchdog(self.loop_watch, service.log)

    def start(self) -> None:
        """Begin to watch."""
        self.garbage.install()
        if self._watchdog is not None:
            self._watchdog.start()

    def tick(self) -> None:
        """Do once a second what depends on time."""
        self.dry.tick()
        self.slow.tick()

    def stop(self) -> None:
        """Watch no more."""
        if self._watchdog is not None:
            self._watchdog.stop()
        self.garbage.remove()
