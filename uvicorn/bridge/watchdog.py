"""The thread that looks whether the loop turns (`loop_watch.py`)."""

from __future__ import annotations

import threading

from uvicorn.bridge.loop_watch import LoopWatch
from uvicorn.bridge.outbox import Log

__all__ = ["Watchdog"]


class Watchdog:
    """The thread that looks."""

    def __init__(self, watch: LoopWatch, log: Log) -> None:
        self._watch = watch
        self._log = log
        self._rest = threading.Lock()  # held until `stop`; to wait for an Event takes longer
        self._rest.acquire()
        self._thread = threading.Thread(target=self._run, name="uvicorn-watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more. Blocks: for the look that is under way."""
        if self._rest.locked():
            self._rest.release()
        if self._thread.ident is not None:
            self._thread.join(self._watch.period + 1.0)

    def _run(self) -> None:
        watch = self._watch
        watch.begin()
        while not self._rest.acquire(timeout=watch.period):
            try:
                watch.look()
            except Exception:  # a mistake of ours costs this look
                self._log.error("Error in the watch of the event loop", exc_info=True)
        watch.end()
