"""How a worker makes way for a new one in development: when a file has changed, and after a start that failed.

Theory of operation
-------------------
A thread of the worker watches the files (`reloader.py`). When one has changed, the worker is marked as leaving, and the
master makes another at once (`replacement.py`). This one leaves connections that wait to the other, closes those that
are idle, answers what is under way, and ends. One whose loop is blocked can answer nothing; it ends after some seconds.

A change while the application is imported ends the process: what it imports is out of date. It is given a second, so
that most imports come to their end; one that would never end needs no more than a save.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any, Final

from uvicorn.applications.failures import files_of
from uvicorn.applications.templates import template_folders
from uvicorn.command.reloader import FileReloader
from uvicorn.command.replacement import hand_over
from uvicorn.command.settings import Settings
from uvicorn.command.watching import Rules

__all__ = ["Reloading"]

_IMPORT_SECONDS: Final = 1.0  # arbitrary
_BLOCKED_SECONDS: Final = 5.0  # arbitrary: far more than a loop needs, whatever its threads compute


class Reloading:
    """The reload of one worker. Made in the child, before the application is imported.

    Args:
        worker: Gunicorn's.
    """

    def __init__(self, worker: Any, settings: Settings) -> None:
        cfg = worker.cfg
        rules = _rules(cfg, settings)
        self.has_begun = False  # this worker leaves for another one
        self.is_noticed = False  # by the loop
        self._worker = worker
        self._rules = rules
        self._is_loading = True
        self.reloader: Final = FileReloader(
            rules, cfg.reload_extra_files, cfg.reload_engine, settings.reload_delay, self._on_change
        )
        self.reloader.start()

    def is_loaded(self) -> None:
        """The application is imported, or could not be: watch what is known by now."""
        self._is_loading = False
        self.reloader.watch_more(replace(self._rules, templates=tuple(template_folders())))

    def has_failed(self, error: BaseException) -> None:
        """Watch the files that would have to be changed, wherever they are."""
        for path in files_of(error):
            self.reloader.add_extra_file(path)

    def _on_change(self, paths: list[str]) -> None:
        """Runs on: the thread that watches."""
        worker = self._worker
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        worker.log.info("Worker reloading: %s%s modified", _shown(paths[0]), more)
        began = time.monotonic()
        while self._is_loading and time.monotonic() - began < _IMPORT_SECONDS:
            time.sleep(0.02)
        self.has_begun = True
        hand_over(worker)
        if self._is_loading:
            os._exit(0)
        worker.alive = False
        os.write(worker.PIPE[1], b"1")
        worker.cfg.worker_int(worker)
        time.sleep(_BLOCKED_SECONDS)
        if not self.is_noticed:
            worker.log.warning("Worker leaving, though its event loop is blocked (pid: %s)", worker.pid)
            os._exit(0)


def _rules(cfg: Any, settings: Settings) -> Rules:
    """Return what is watched: by default the current folder, and those that Gunicorn's `pythonpath` adds."""
    given = settings.reload_dirs or (cfg.chdir, *(cfg.pythonpath.split(",") if cfg.pythonpath else ()))
    return Rules(given, settings.reload_includes, settings.reload_excludes)


def _shown(path: str) -> str:
    here = os.getcwd() + os.sep
    return path.removeprefix(here)
