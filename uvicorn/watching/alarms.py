"""What warns in the log: of a loop that does not turn, a pool that ran dry, a consumer that is slow."""

from __future__ import annotations

import time
from typing import Final

from uvicorn.bridge.dry import DryWatch
from uvicorn.bridge.garbage import GarbagePauses
from uvicorn.bridge.loop_watch import LoopWatch
from uvicorn.bridge.slow import SlowWatch
from uvicorn.bridge.watchdog import Watchdog
from uvicorn.connections.service import Service
from uvicorn.watching.looks import WorkerLooks
from uvicorn.watching.settings import WatchSettings

__all__ = ["Alarms"]


class Alarms:
    """The warnings of one server. All methods run on: the loop.

    Args:
        settings: the seconds from which on it is told.

    Attributes:
        loop_watch: None if it is never told of the loop. The thread that looks is there from `start` to `stop`.
    """

    def __init__(self, service: Service, settings: WatchSettings) -> None:
        log, dispatcher, outbox = service.log, service.dispatcher, service.outbox
        self.garbage: Final = GarbagePauses()
        self.dry: Final = DryWatch(dispatcher.all_pools, time.monotonic, log, settings.pool_wait_warning)
        self.slow: Final = SlowWatch(dispatcher, time.monotonic, log, settings.slow_consumer_warning)
        self.loop_watch: LoopWatch | None = None
        self._watchdog: Watchdog | None = None
        seconds = settings.loop_block_warning
        if seconds:
            self.loop_watch = LoopWatch(outbox, log, seconds, WorkerLooks(service), self.garbage, outbox.loop_native_id)
            self._watchdog = Watchdog(self.loop_watch, log)

    def start(self) -> None:
        """Begin to look."""
        self.garbage.install()
        if self._watchdog is not None:
            self._watchdog.start()

    def tick(self) -> None:
        """Look at pools and consumers; called once a second."""
        self.dry.tick()
        self.slow.tick()

    def stop(self) -> None:
        """Look no more. Blocks: for the look that is under way."""
        if self._watchdog is not None:
            self._watchdog.stop()
        self.garbage.remove()
