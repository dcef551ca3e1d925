"""The stop of a master: its workers are told that all of them stop, and may accept for a while (`drain_delay`).

Theory of operation
-------------------
The master says on the roll that it stops, and sends TERM to all workers, as ever; each of them waits by itself. INT and
QUIT end that at once. The master's own copies of the listening sockets are closed at the beginning, which the workers
do not notice. Gunicorn also removes the files of Unix sockets then, and nobody could connect any more: with a delay
they are removed at the end, unless there is another one of that name by then, that of a new server.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gunicorn.errors import ConfigError

from uvicorn.command.settings import Settings
from uvicorn.command.share import roll_of_master

__all__ = ["stop_master"]


def stop_master(master: Any, stop: Callable[[bool], None], graceful: bool) -> None:
    """Stop the workers. Runs on: the master. Blocks: until they have left.

    Args:
        stop: Gunicorn's own.
    """
    roll_of_master().is_stopping = True
    has_files = master.reexec_pid == master.master_pid == 0 and not master.systemd and not master.cfg.reuse_port
    if not (graceful and has_files and drain_delay_of(master.cfg)):
        stop(graceful)
        return
    files = {path: found for path in _paths(master.LISTENERS) if (found := _identity(path))}
    master.systemd = True  # Gunicorn leaves the files of such sockets alone
    try:
        stop(graceful)
    finally:
        master.systemd = False
        for path, found in files.items():
            if _identity(path) == found:
                with suppress(OSError):
                    os.unlink(path)


def drain_delay_of(cfg: Any) -> float:
    """Return the setting. A value that is not allowed has been told already: it is none."""
    try:
        return Settings.from_config(cfg).drain_delay
    except ConfigError:
        return 0.0


def _paths(listeners: list[Any]) -> list[str]:
    names = [each.getsockname() for each in listeners if each.family == socket.AF_UNIX]
    return [name for name in names if isinstance(name, str) and name and not name.startswith("\0")]


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
