"""Why a worker leaves, when, and what it does first: one object, through which every reason goes.

    told to (TERM)               when the one in its place is ready (`departure.py`); with `drain_delay`, after that
    the most requests, too old,  asks for another worker first (`replacement.py`)
    too large, a lost pool
    far too large, INT, QUIT     at once, without waiting for requests
    a file has changed           at once; it leaves what waits to the next worker (`reloading.py`)

All of them come to `begin`, which says on the roll and to clients that the worker leaves, and sets `has_begun`. The
worker waits for that, and goes on with `stop_serving`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from uvicorn.bridge.pool import ConsumerPool
from uvicorn.command.departure import Departure
from uvicorn.command.replacement import Replacement, hand_over
from uvicorn.command.roll import LEAVING, Entry
from uvicorn.command.serving import Serving
from uvicorn.watching.retirement import NOW
from uvicorn.watching.watching import Watching

if TYPE_CHECKING:
    from uvicorn.command.reloading import Reloading

__all__ = ["Leaving", "drain_seconds"]

_LAST_SECONDS: Final = 0.1  # for the application to stop, if there is no time left
_QUICK_SECONDS: Final = 1.0  # for the same on INT and QUIT
_LEAST_BOUND_SECONDS: Final = 60.0  # for new workers to be ready, under plain gunicorn; arbitrary


class Leaving:
    """The leave of one worker. Loop thread only, but for `hurry`.

    Args:
        worker: Gunicorn's: `alive` is set; `cfg`, `log`, `pid` are used, and what the modules above use.
        entry: the worker's place on the roll; None if it has none.
        drain_delay: seconds for which it accepts still when the whole server stops.
        reloading: None but in development.

    Attributes:
        serving: what it serves with; set as soon as there is one.
        has_begun: set when the worker accepts no longer.
        is_quick: it waits for no request.
    """

    def __init__(
        self,
        worker: Any,
        entry: Entry | None,
        loop: asyncio.AbstractEventLoop,
        drain_delay: float,
        reloading: Reloading | None,
    ) -> None:
        self.serving: Serving | None = None
        self.has_begun: Final = asyncio.Event()
        self.is_quick = False
        self._worker = worker
        self._entry = entry
        self._loop = loop
        self._log = worker.log
        self._drain_delay = drain_delay
        self._delayed_seconds = 0.0  # of graceful_timeout, in which it accepts still
        self._reloading = reloading
        bound = max(_LEAST_BOUND_SECONDS, worker.cfg.timeout + worker.cfg.graceful_timeout)
        departure = Departure(worker, entry, loop, self._log, bound, self._on_leave, self._on_staying)
        is_orderly = entry is not None and entry.roll.is_orderly
        self._departure = departure
        self._replacement = Replacement(worker, loop, self._log, self.begin, is_orderly, lambda: departure.is_waiting)

    def begin(self) -> None:
        """Accept no longer, and tell it. Idempotent."""
        if self._worker.alive:
            hand_over(self._worker)  # the master makes another one, if this one will be missing
        self._worker.alive = False
        if self._entry is not None:
            self._entry.tell(LEAVING)
        serving = self.serving
        if self._reloading is not None and self._reloading.has_begun:
            self._reloading.is_noticed = True
            if serving is not None and serving.server is not None:
                serving.server.step_aside()
        if serving is not None:
            serving.begin_stopping()
            if self._replacement.is_asked:
                serving.dispatcher.give_up_stuck()
        self.has_begun.set()

    def hurry(self) -> None:
        """Wait for no request. Runs on: the loop's thread, also in a handler of a signal."""
        self.is_quick = True
        if self.serving is not None:
            self.serving.hurry()

    async def stop_serving(self, serving: Serving) -> None:
        """Stop in stages: what is there is answered, as far as there is time, and the application stops."""
        if self.is_quick:
            serving.hurry()
        else:
            self._log.info("Worker stopping (pid: %s)", self._worker.pid)
        graceful = self._worker.cfg.graceful_timeout - self._delayed_seconds
        deadline = self._loop.time() + graceful - (graceful - drain_seconds(graceful)) / 2
        if serving.server is not None:
            await serving.server.drain(drain_seconds(graceful))
        left = _QUICK_SECONDS if self.is_quick else max(_LAST_SECONDS, deadline - self._loop.time())
        await serving.stop_application(left)
        serving.close()

    # ---- reasons ----

    def on_exit(self) -> bool:
        """A task of the application exits the process. Returns: whether the loop goes on, so as to stop in order."""
        if self.is_quick:
            return False
        self._log.exception("A task of the application asked the process to exit: the worker stops")
        self.begin()
        return True

    def on_term(self) -> None:
        """The worker was told to leave; perhaps not for the first time."""
        self._departure.begin()

    def on_quit(self) -> None:
        """The worker was told to leave at once."""
        self.hurry()
        self.begin()

    def on_most_requests(self) -> None:
        """It has answered `max_requests`."""
        if self._worker.alive and not self._replacement.is_asked:
            self._log.info("Autorestarting worker after current request.")
            self._replacement.begin()

    def on_lost_pool(self, pool: ConsumerPool) -> None:
        """All threads of a pool are stuck, and requests wait."""
        assert self.serving is not None
        if self._worker.alive:
            self._log.error(
                "All %d threads of %s are stuck and requests wait: the worker is replaced (pid: %s)\n%s",
                pool.threads,
                pool.name,
                self._worker.pid,
                self.serving.stuck.stacks(pool),
            )
            self._replacement.begin()

    def look_at_bounds(self, watching: Watching) -> None:
        """Leave if the worker has grown too large or too old: in its turn, after there is a new one; or at once."""
        if not self._worker.alive:
            return
        leaving = watching.leaving()
        if leaving == NOW:
            self._log.error("The worker leaves at once: %s (pid: %s)", watching.reason, self._worker.pid)
            self.hurry()
            self.begin()
        elif leaving:
            self._log.info("The worker is replaced: %s (pid: %s)", watching.reason, self._worker.pid)
            self._replacement.begin()

    def _on_leave(self) -> None:
        """The one in its place is ready, or nobody waits for that one any more: the whole server stops."""
        if not self._waits_for_clients():
            self.begin()

    def _on_staying(self) -> None:
        """The worker was told to leave, and stays: the one in its place could not start."""
        self._replacement.ask_again()

    def _waits_for_clients(self) -> bool:
        """Whether the worker goes on for `drain_delay`, since the whole server stops; readiness says no meanwhile."""
        delay = min(self._drain_delay, drain_seconds(self._worker.cfg.graceful_timeout))
        if not (delay and self._entry is not None and self._entry.roll.is_stopping and self._worker.alive):
            return False
        if not self._delayed_seconds:
            self._delayed_seconds = delay
            self._log.info("The server stops in %g seconds, and accepts until then (pid: %s)", delay, self._worker.pid)
            if self.serving is not None:
                self.serving.announce_stop()
            self._loop.call_later(delay, self.begin)
        return True


def drain_seconds(graceful_timeout: float) -> float:
    """Return how long to wait for what is running, in seconds.

    A little less than `graceful_timeout`, so that our report is written and the hooks are called before the
    master's SIGKILL: a tenth of it or 0.7 s, but never more than six tenths.
    """
    return graceful_timeout - min(max(0.1 * graceful_timeout, 0.7), 0.6 * graceful_timeout)
