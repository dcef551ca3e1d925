"""One process that serves, made anew when a file changes.

`uvicorn.run(reload=True)` and `uvicorn --reload` have Gunicorn's reloader; this is for tools that start a server of
their own in it.
"""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from uvicorn.supervisors.processes import ServerProcess, Supervisor

__all__ = ["BaseReload", "ChangeReload"]

logger: Final = logging.getLogger("uvicorn.error")

_INCLUDED: Final = ("*.py",)
_EXCLUDED: Final = (".*", ".py[cod]", ".sw.*", "~*")


class ChangeReload(Supervisor):
    """One process, made anew when a file below `reload_dirs` changes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.process: ServerProcess | None = None
        self.reload_dirs: Final = [Path(path) for path in self.config.reload_dirs] or [Path.cwd()]
        self._includes = [*_INCLUDED, *map(str, self.config.reload_includes)]
        self._excludes = [*_EXCLUDED, *map(str, self.config.reload_excludes)]
        self._times: dict[Path, float] = {}

    @property
    def interval(self) -> float:
        """Seconds between two looks."""
        return float(self.config.reload_delay)

    def start(self) -> None:
        """Start it."""
        shown = [str(path) for path in self.reload_dirs]
        logger.info("Will watch for changes in these directories: %s", shown)
        self._times = self._look_at_files()
        self.process = self.make()

    def look(self) -> None:
        """Make it anew if a file has changed since the last look."""
        times = self._look_at_files()
        changed = [path for path, changed_at in times.items() if self._times.get(path) != changed_at]
        changed += [path for path in self._times if path not in times]
        self._times = times
        if changed:
            names = ", ".join(f"'{_shown(path)}'" for path in changed[:3])
            logger.warning("Detected changes in %s. Reloading...", names)
            self.restart()

    def restart(self) -> None:
        """Stop it, and start another one."""
        self.stop()
        self.process = self.make()

    def stop(self) -> None:
        """Stop it."""
        process, self.process = self.process, None
        if process is not None:
            process.stop(self.config.timeout_graceful_shutdown)

    def _look_at_files(self) -> dict[Path, float]:
        times = {}
        for folder in self.reload_dirs:
            for path in self._files_below(folder):
                try:
                    times[path] = path.stat().st_mtime
                except OSError:
                    continue  # it has just gone
        return times

    def _files_below(self, folder: Path) -> Iterator[Path]:
        try:
            entries = sorted(folder.iterdir())
        except OSError:
            return
        for path in entries:
            if any(fnmatch.fnmatch(path.name, glob) or path.match(glob) for glob in self._excludes):
                continue
            if path.is_dir() and not path.is_symlink():
                yield from self._files_below(path)
            elif any(path.match(glob) for glob in self._includes):
                yield path


BaseReload = ChangeReload


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
