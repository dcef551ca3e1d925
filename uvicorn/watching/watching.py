"""Everything that watches one worker, put together: started with its server, looked after once a second, stopped."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from uvicorn.bridge.aside import Aside
from uvicorn.bridge.consumer import Consumer
from uvicorn.connections.service import Service
from uvicorn.watching.alarms import Alarms
from uvicorn.watching.board import Board, Sheet
from uvicorn.watching.collector import Collector, memory_bytes
from uvicorn.watching.dump import Dump
from uvicorn.watching.families import Figures, add_up, as_rows, lasting
from uvicorn.watching.health import Health, Starvation
from uvicorn.watching.inspection import Inspection, as_json
from uvicorn.watching.retirement import NO, NOW, SOON, Retirement, is_turn_of
from uvicorn.watching.settings import OFF, WatchSettings
from uvicorn.watching.statsd import StatsdNumbers
from uvicorn.watching.warnings_kept import KeptWarnings

__all__ = ["Shared", "Watching"]


class Shared(NamedTuple):
    """What the workers of one master have in common.

    Attributes:
        board: the numbers of all of them.
        place: this worker's, or None.
        metrics: the socket on which scrapers are answered, or None.
        master: its process id.
    """

    board: Board
    place: int | None
    metrics: socket.socket | None = None
    master: int = 0

    def begin(self, pid: int) -> None:
        """Tell that a worker is there, which has not started. Whoever had its place before has counted already."""
        if self.place is not None:
            self.board.write(self.place, Sheet(pid, {"is_started": False}, self.inherited()))

    def inherited(self) -> Figures:
        """Return what those have counted who had the place before."""
        sheet = None if self.place is None else self.board.read(self.place)
        return {} if sheet is None else lasting(sheet.figures)


class Watching:
    """What watches one worker. All methods run on: the loop.

    Args:
        consumers: returns all consumers that may be called.
    """

    def __init__(
        self,
        service: Service,
        settings: WatchSettings,
        consumers: Callable[[], Iterable[Consumer]],
        shared: Shared,
        pid: int,
    ) -> None:
        log, pools = service.log, service.dispatcher.all_pools
        alarms = self._alarms = Alarms(service, settings)
        loop_watch = alarms.loop_watch
        self.collector: Final = Collector(service, consumers, loop_watch, alarms.garbage, alarms.dry, alarms.slow)
        self.dump: Final = Dump(service, loop_watch)
        self.facts: Final[dict[str, Any]] = {
            "pid": pid,
            "started": time.time(),
            "is_started": True,
            "is_stopping": False,
        }
        self._service = service
        self._shared = shared
        self._warnings = KeptWarnings()
        self._statsd = StatsdNumbers(log) if StatsdNumbers.wanted(log) else None
        self._latest: Figures = {}
        self._is_announced = False  # its stop
        self._base = shared.inherited()
        self._retirement = Retirement(settings.bounds, time.monotonic, memory_bytes)
        self._starvation = Starvation(pools, settings.health, time.monotonic)
        self._aside = Aside(log)
        self._inspection = Inspection(
            {"dump": self._dumped, "stacks": lambda: self._dumped(True), "status": self._status}, shared.master
        )
        if settings.status_dir != OFF:
            try:
                self._aside.serve(self._inspection.listen(settings.status_dir), self._inspection)
            except OSError as error:
                log.warning("No socket for 'uvicorn status' and 'uvicorn dump': %s", error)
        if shared.metrics is not None:
            from uvicorn.watching.exposition import MetricsPage

            self._aside.serve(shared.metrics, MetricsPage(self.read_all))

    def start(self) -> None:
        """Begin to watch."""
        self._warnings.install(self._service.log)
        self._alarms.start()
        self._write()
        self._aside.start()

    def tick(self) -> None:
        """Do once a second what depends on time."""
        self._alarms.tick()
        self._starvation.tick()
        self._write()

    def leaving(self) -> str:
        """Return whether the worker is to be replaced: "", "soon" (now is its turn) or "now" (whoever else leaves).

        Called once a second; `reason` tells why.
        """
        wish = self._retirement.look()
        if wish != SOON or self.facts.get("is_leaving"):
            return wish if wish == NOW else NO
        is_known = self.facts.get("wants_to_leave", False)
        self.facts["wants_to_leave"] = True
        has_siblings = self._shared.place is not None
        if has_siblings and not (is_known and is_turn_of(self.facts["pid"], self._shared.board.read_all())):
            return NO
        self.facts["is_leaving"] = True
        self._write()
        return SOON

    @property
    def reason(self) -> str:
        """Why the worker is to be replaced."""
        return self._retirement.reason

    def announce_stop(self) -> None:
        """Say that the worker is not ready any more, though it accepts still."""
        self._is_announced = True
        self._write()

    def stop(self) -> None:
        """Watch no more, and leave the last numbers."""
        self._alarms.stop()
        self._aside.stop()
        self._inspection.remove()
        self._warnings.remove(self._service.log)
        self._write(is_last=True)

    def dump_soon(self) -> None:
        """Have the log tell what the worker does. Runs on: signal handlers, too."""
        self._aside.call(lambda: self._service.log.warning("Dump (pid: %s)\n%s", self.facts["pid"], self._dumped(True)))

    def read_all(self) -> Figures:
        """Return the figures of all workers of the master. Runs on: any thread."""
        return add_up(sheet.figures for sheet in self._shared.board.read_all())

    def _of_all(self) -> Figures | None:
        """Return the figures of all workers, if this one is to speak for them: the one that has the first place."""
        sheets = self._shared.board.read_all()
        first = next((sheet.pid for sheet in sheets if sheet.pid), self.facts["pid"])
        return add_up(sheet.figures for sheet in sheets) if first == self.facts["pid"] else None

    def serve_health(self, health: Health) -> None:
        """Let the health paths know of this worker and of its siblings."""
        health.reasons = self._reasons
        health.sheets = self._shared.board.read_all
        health.numbers = self._numbers

    def _reasons(self) -> list[str]:
        """Return why the worker is not ready."""
        stopping = ["it stops"] if self._service.is_stopping or self._is_announced else []
        return stopping + [f"{name} is starved" for name in self._starvation.starved()]

    def _numbers(self) -> dict[str, Any]:
        pools = self._service.dispatcher.pools
        return {
            "pid": self.facts["pid"],
            "connections": len(self._service.connections),
            "requests": self._service.requests,
            "pools": {
                pool.name: {"threads": pool.threads, "busy": pool.busy, "stuck": pool.stuck, "queued": pool.queued}
                for pool in pools
            },
        }

    def _write(self, is_last: bool = False) -> None:
        """Tell the others what we have counted."""
        self._latest = figures = self.collector.collect()
        if self._statsd is not None:
            self._statsd.send(figures, self._of_all())
        if self._shared.place is None:
            return
        self.facts.update(
            is_stopping=self._service.is_stopping, reasons=self._reasons(), told_at=round(time.monotonic(), 3)
        )
        figures = add_up((self._base, lasting(figures) if is_last else figures))
        sheet = Sheet(0, {}, figures) if is_last else Sheet(self.facts["pid"], self.facts, figures)
        self._shared.board.write(self._shared.place, sheet)

    # ---- aside ----

    def _dumped(self, with_stacks: bool = False) -> str:
        return f"Worker {self.facts['pid']}\n{self.dump.text(with_stacks)}"

    def _status(self) -> str:
        return as_json(
            {
                **self.facts,
                "loop": self.dump.loop_state(),
                "figures": as_rows(self._latest),
                "in_flight": self.dump.in_flight(),
                "warnings": self._warnings.told(),
            }
        )
