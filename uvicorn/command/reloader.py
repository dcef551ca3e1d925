"""What notices in development that a file has changed: a thread of each worker.

watchfiles or watchdog, if one of them is installed, have the system tell of changes; else the files are looked at a few
times a second. What the system tells is a reason to look, and no more: what has changed says the comparison with the
last look. The first of these was made before the application was imported, so what is saved meanwhile is not missed.
"""

from __future__ import annotations

import glob
import os
import select
import sys
import sysconfig
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final

from gunicorn.reloader import ReloaderBase

from uvicorn.command.watching import Rules, Snapshot, stale_bytecode

__all__ = ["FileReloader"]

_SETTLE_MS: Final = 50  # for an editor, or git, that writes several files; arbitrary
_LOOK_MS: Final = 500  # between two looks where the system tells of changes: it may not, as with some mounted folders
_PAUSE_FACTOR: Final = 20  # the pause after a look is at least so many times as long as the look
_TOLD: Final = frozenset({"created", "deleted", "modified", "moved"})  # events of watchdog; others come of looking

_Wait = Callable[[], object]


class FileReloader(ReloaderBase):  # type: ignore[misc]  # Gunicorn has no types
    """A thread that watches files.

    Args:
        rules: what is watched.
        extra_files: paths and globs of further files: Gunicorn's `reload_extra_files`.
        engine: Gunicorn's `reload_engine`: "auto", "inotify" or "poll".
        delay: seconds between two looks, where the system does not tell of changes.
        callback: called in the thread, once, with the paths of the changed files. Then the thread ends.
    """

    def __init__(
        self,
        rules: Rules,
        extra_files: Iterable[str],
        engine: str,
        delay: float,
        callback: Callable[[list[str]], None],
    ) -> None:
        super().__init__(extra_files=extra_files, callback=callback)
        self._engine = engine
        self._delay = delay
        self._modules: tuple[int, list[str]] = (0, [])
        self._snapshot = Snapshot(rules, self._single_files)
        self._rules: Rules | None = None

    def start(self) -> None:
        """Begin to watch; Gunicorn calls it once more when the application is loaded."""
        if self.ident is None:
            super().start()

    def watch_more(self, rules: Rules) -> None:
        """Watch what is known when the application is loaded."""
        self._rules = rules  # for the thread: it alone touches the snapshot

    def run(self) -> None:
        """Wait for a change."""
        wait = _waiter(self._engine, self._snapshot.rules.roots())
        while True:
            began = time.monotonic()
            changed = self._snapshot.changes()
            rules, self._rules = self._rules, None
            if rules is not None and not changed:
                self._snapshot.watch(rules)
            if changed:
                time.sleep(_SETTLE_MS / 1000)
                changed += self._snapshot.changes()
                stale_bytecode(changed)
                self._callback([*dict.fromkeys(changed)])
                return
            if wait is not None:
                try:
                    wait()
                except Exception:  # each library has errors of its own: as many folders are watched as may be
                    wait = None
            else:
                time.sleep(max(self._delay, _PAUSE_FACTOR * (time.monotonic() - began)))

    def _single_files(self) -> Iterator[str]:
        """Yield the application's modules, wherever they are, and the extra files."""
        if self._modules[0] != len(sys.modules):
            found = map(_file_of, [*sys.modules.values()])
            self._modules = len(sys.modules), [path for path in found if path and not path.startswith(_NOT_EDITED)]
        yield from self._modules[1]
        yield from [*self._extra_files]
        for pattern in self._extra_patterns:
            yield from glob.iglob(pattern, recursive=True)


def _file_of(module: Any) -> str:
    """Return the path of a module, or "".

    Not by `getattr`: some modules load what they stand for, or raise what they like, when they are asked for a name.
    """
    try:
        path = ModuleType.__getattribute__(module, "__dict__").get("__file__")
    except TypeError:  # something else has taken a module's place
        return ""
    return path if isinstance(path, str) else ""


def _installed() -> tuple[str, ...]:
    """Return where modules are that nobody edits; and this package, which the master has imported already."""
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = {path for kind in kinds for path in [sysconfig.get_paths().get(kind)] if path}
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return tuple(os.path.join(folder, "") for folder in (*folders, here))


_NOT_EDITED: Final = _installed()


def _waiter(engine: str, roots: list[str]) -> _Wait | None:
    """Return what waits until something may have changed below these folders; None if the system does not tell."""
    if engine == "poll" or not roots:
        return None
    for name, make in (("watchfiles", _watchfiles), ("watchdog", _watchdog)):
        if find_spec(name) is not None:
            try:
                return make(roots)
            except Exception:  # as in `run`
                continue
    return None


def _watchfiles(roots: list[str]) -> _Wait:
    from watchfiles._rust_notify import RustNotify  # named so in its documentation: it watches from here on

    watcher = RustNotify(roots, False, False, 0, True, True)
    return lambda: watcher.watch(_SETTLE_MS, 20, _LOOK_MS, None)


def _watchdog(roots: list[str]) -> _Wait:
    from watchdog.events import FileSystemEventHandler
    from watchdog.observers import Observer

    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    class Handler(FileSystemEventHandler):
        def dispatch(self, event: Any) -> None:
            if event.event_type in _TOLD:
                with suppress(BlockingIOError):
                    os.write(writer, b"1")

    observer = Observer()
    for root in roots:
        observer.schedule(Handler(), root, recursive=True)
    observer.start()
    poll = select.poll()
    poll.register(reader, select.POLLIN)

    def wait() -> None:
        if poll.poll(_LOOK_MS):
            os.read(reader, 65536)

    return wait
