"""What warns in the log: of a loop that does not turn, a pool that ran dry, a consumer that is slow."""

from __future__ import annotations

import time
from typing import Final

from uvicorn.bridge.dry import DryWatch
from uvicorn.bridge.garbage import GarbagePauses
from uvicorn.bridge.loop_watch import LoopWatch, Watchdog
from uvicorn.bridge.slow import SlowWatch
from uvicorn.connections.service import Service
from uvicorn.watching.looks import WorkerLooks

__all__ = ["Alarms"]


class Alarms:
    """The warnings of one server. All methods run on: the loop.

    Args:
        loop_block, pool_wait, slow_consumer: seconds from which on it is told; 0 for never.

    Attributes:
        loop_watch: None if it is never told of the loop. The thread that looks is there from `start` to `stop`.
    """

    def __init__(self, service: Service, loop_block: float, pool_wait: float, slow_consumer: float) -> None:
        log, dispatcher, outbox = service.log, service.dispatcher, service.outbox
        self.garbage: Final = GarbagePauses()
        self.dry: Final = DryWatch(dispatcher.all_pools, time.monotonic, log, pool_wait)
        self.slow: Final = SlowWatch(dispatcher, time.monotonic, log, slow_consumer)
        self.loop_watch: LoopWatch | None = None
        self._watchdog: Watchdog | None = None
        if loop_block:
            self.loop_watch = LoopWatch(
                outbox, log, loop_block, WorkerLooks(service), self.garbage, outbox.loop_native_id
            )
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
