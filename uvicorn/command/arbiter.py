"""The `uvicorn` command's master: Gunicorn's, with reloads that nobody notices and a word for systemd.

Theory of operation
-------------------
*Reload.* HUP makes new workers and tells nobody to leave. The loop of the master goes on as ever: once a second, and
whenever a worker says that it is ready (`roll.py`), it looks at all of them and does what `reload_plan.py` decides: the
old ones are told to leave when all new ones are ready. If one cannot start, the new ones are ended, the master has its
former configuration again (`before_reload.py`), and the old ones go on. A second HUP ends the new workers of the first.

*Replacement.* A worker that wants to leave marks itself (`replacement.py`). Another one is made, and when that is ready
the first is told to leave. If it cannot start, it is tried again, later each time, and the first goes on.

*Halting.* A worker that cannot start ends Gunicorn's master. Here it does so only if no other serves.

Gunicorn's own code is used for all else. `reload` in particular is left by an exception, after it has made the new
workers: what follows there tells the old ones to leave, and waits.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from typing import Any, Final

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter as GunicornArbiter
from gunicorn.errors import HaltServer

from uvicorn.command.before_reload import BeforeReload, why_not_taken
from uvicorn.command.reload_plan import Known, plan
from uvicorn.command.replacement import is_leaving, wants_to_leave
from uvicorn.command.roll import FAILED, LEAVING, READY, STARTING, STAYING
from uvicorn.command.share import roll_of_master
from uvicorn.command.start_report import quiet_about_no_address
from uvicorn.command.stopping import stop_master
from uvicorn.command.systemd import Notifier, give_back

__all__ = ["Arbiter", "OrderlyApplication"]

_LEAST_SILENCE: Final = 2.5  # seconds: a worker's heartbeat comes once a second


class _AreMade(Exception):
    """The new workers of a reload are made."""


class Arbiter(GunicornArbiter):  # type: ignore[misc]  # Gunicorn has no types
    """The master."""

    is_orderly = True

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        give_back(os.environ)
        self._systemd = Notifier(os.environ, self.log)
        self._is_announced = False
        self._is_stopping = False
        self._is_configuring = False
        self._before: BeforeReload | None = None  # set while a reload is under way
        self._generations = 0
        self._generation = 0  # of the workers that are made
        self._stable = 0  # of those that serve
        self._told: set[int] = set()  # process ids of workers that were told to leave
        self._note = ""  # why the last reload was given up

    # ---- what Gunicorn calls ----

    def start(self) -> None:
        """Listen. Nobody serves yet: systemd is told when somebody does."""
        with quiet_about_no_address(self.log):
            super().start()
        roll_of_master().is_orderly = True
        self._systemd.status("Starting")

    def spawn_worker(self) -> int:
        """Make a worker. Only the master returns."""
        pid: int = super().spawn_worker()
        self.WORKERS[pid].generation = self._generation
        return pid

    def manage_workers(self) -> None:
        """Make the workers that are missing, and tell those to leave that are too many."""
        if self._is_configuring:
            raise _AreMade
        if self._has_our_workers:
            self._follow_plan()
            self._report_number()
        else:
            self._is_reloaded()  # from our worker class to another one
            super().manage_workers()
        self._tell_systemd()

    def reload(self) -> None:
        """Read the configuration, and make new workers; the old ones go on."""
        if not self._has_our_workers:
            super().reload()
            return
        if self._before is None:
            self._before = BeforeReload(self)
        else:
            self._end_new_ones()  # of the reload before
        self._note = ""
        self._systemd.reloading("Reloading")
        self._generations += 1
        self._generation = self._generations
        self._is_configuring = True
        try:
            super().reload()
        except _AreMade:
            pass
        except (SystemExit, Exception) as error:
            if os.getpid() != self.pid:
                raise  # the end of a worker
            self._is_configuring = False
            self._give_up(why_not_taken(error))
        finally:
            self._is_configuring = False

    def reap_workers(self) -> None:
        """Forget the workers that have ended. Raises: HaltServer if one could not start, and nobody serves."""
        before = dict(self.WORKERS)
        while True:
            try:
                super().reap_workers()
                break
            except HaltServer:
                if not (self._is_stopping or roll_of_master().has_server()):
                    raise
                for pid, worker in before.items():
                    if pid not in self.WORKERS and not worker.tmp._tmp.closed:  # Gunicorn has not come to this
                        worker.tmp.close()
                        self.cfg.child_exit(self, worker)
        for pid, worker in before.items():
            if pid not in self.WORKERS:
                is_told = pid in self._told
                self._told.discard(pid)
                if not (is_told or self._is_stopping):
                    self._on_end(worker)

    def reexec(self) -> None:
        """Have a new master start beside this one (USR2). It speaks to systemd, too."""
        self._systemd.lend(self.cfg.env_orig)
        super().reexec()

    def stop(self, graceful: bool = True) -> None:
        """Stop all workers. Blocks: until they have left."""
        self._is_stopping = True
        if self.reexec_pid:
            self._systemd.hand_over(self.reexec_pid)
        else:
            self._systemd.stopping("Stopping")
        stop_master(self, super().stop, graceful)

    # ---- what it does instead ----

    @property
    def _has_our_workers(self) -> bool:
        return getattr(self.worker_class, "tells_when_ready", False)

    def _follow_plan(self) -> None:
        decided = plan(self._known(), self.num_workers)
        if decided.missing and time.monotonic() >= roll_of_master().retry_at:
            for _ in range(decided.missing):
                self.spawn_worker()
                time.sleep(0.1 * random.random())  # as Gunicorn does: they do not all do the same at once
        self._tell_to_leave(decided.leaving)
        if decided.is_reloaded:
            self._is_reloaded()

    def _is_reloaded(self) -> None:
        """The new workers have taken over; if there was a reload."""
        if self._before is None:
            return
        self._before.forget()
        self._before = None
        self._stable = self._generation
        self.log.info("Reloaded: %d new workers are ready", self.num_workers)
        self._systemd.ready(self._status())

    def _known(self) -> list[Known]:
        return [
            Known(
                pid,
                getattr(worker, "_age", worker.age),
                is_new=getattr(worker, "generation", 0) == self._generation,
                is_ready=_is_ready(worker),
                wants_to_leave=wants_to_leave(worker),
            )
            for pid, worker in self.WORKERS.items()
            if pid not in self._told and not is_leaving(worker)
        ]

    def _tell_to_leave(self, pids: list[int]) -> None:
        for pid in pids:
            self._told.add(pid)
            entry = getattr(self.WORKERS.get(pid), "entry", None)
            if entry is not None:
                entry.tell_to_leave()
            self.kill_worker(pid, signal.SIGTERM)

    def _on_end(self, worker: Any) -> None:
        """A worker has ended that was not told to."""
        entry = getattr(worker, "entry", None)
        if entry is None:
            return
        standing = entry.standing
        if standing.state in (READY, STAYING, LEAVING) or worker.generation != self._generation:
            return  # another one is made in its place, or of a reload that was given up
        if standing.state == STARTING:
            roll_of_master().note_failure()
        reason = standing.reason if standing.state == FAILED else ""
        reason = reason or f"worker {worker.pid} has ended before it was ready"
        if self._before is not None:
            self._give_up(reason)
        else:
            seconds = max(0.0, roll_of_master().retry_at - time.monotonic())
            self.log.error("A new worker could not start: %s; the next try is in %.0f seconds", reason, seconds)

    def _give_up(self, reason: str) -> None:
        """Go on with the old workers."""
        assert self._before is not None
        self._end_new_ones()
        before, self._before = self._before, None
        self._generation = self._stable
        try:
            before.restore()
        except Exception:
            self.log.exception("The master cannot have its former configuration again")
        self._note = f"; the reload was given up: {reason}"
        self.log.error("The reload is given up, the old workers go on: %s", reason)
        self._systemd.ready(self._status())

    def _end_new_ones(self) -> None:
        """End the workers of a reload that is not over."""
        self._tell_to_leave([each.pid for each in self._known() if each.is_new])

    def _report_number(self) -> None:
        """Have Gunicorn tell its numbers, and do nothing else."""
        more = len(self.WORKERS) - self.num_workers
        self._num_workers: Any = self.num_workers + more  # not `num_workers`: that calls a hook
        try:
            super().manage_workers()
        finally:
            self._num_workers -= more  # the thread of the control socket may have changed it

    # ---- systemd ----

    def _tell_systemd(self) -> None:
        if not self._systemd.is_on:
            return
        ready = [worker for pid, worker in self.WORKERS.items() if pid not in self._told and _is_ready(worker)]
        if ready and not self._is_announced:
            self._is_announced = True
            self._systemd.ready(self._status())
        elif self._is_announced:
            self._systemd.status(self._status())
        if any(map(self._answers, ready)):
            self._systemd.ping()

    def _answers(self, worker: Any) -> bool:
        """Whether the loop of a worker turns."""
        try:
            silence = time.monotonic() - worker.tmp.last_update()
        except (OSError, ValueError):
            return False
        return bool(silence < max(self._systemd.watchdog_seconds / 2, _LEAST_SILENCE))

    def _status(self) -> str:
        known = self._known()
        new = [each for each in known if each.is_new]
        ready = sum(each.is_ready for each in new)
        if self._before is not None:
            return f"Reloading: {ready} of {self.num_workers} new workers are ready"
        return f"Serving: {ready} of {self.num_workers} workers are ready{self._note}"


class OrderlyApplication(BaseApplication):  # type: ignore[misc]  # Gunicorn has no types
    """A Gunicorn application whose master is ours."""

    def run(self) -> None:
        """Serve until told to stop. Raises: SystemExit."""
        try:
            Arbiter(self).run()
        except RuntimeError as error:
            sys.stderr.write(f"\nError: {error}\n\n")
            sys.exit(1)


def _is_ready(worker: Any) -> bool:
    """Whether a worker accepts; one of another class does not tell, and is taken for ready."""
    entry = getattr(worker, "entry", None)
    return entry is None or entry.state in (READY, STAYING)
