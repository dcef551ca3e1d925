"""What the workers of one master have in common: made in the master, before it forks the first of them.

The board, the roll and the listening socket of the metrics page are inherited by every worker. A worker's object is
made in the master, too, which is where it gets its places.
"""

from __future__ import annotations

import atexit
import os
import socket
from typing import Any

from uvicorn.command.roll import Entry, Roll
from uvicorn.command.settings import Settings
from uvicorn.watching.board import Board
from uvicorn.watching.watching import Shared

__all__ = ["enter", "roll_of_master", "share_for"]


class _Master:
    """What one master has made."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.board = Board()
        self.roll = Roll()
        self.address = ""
        self.metrics: socket.socket | None = None

    def close(self) -> None:
        """Listen no more: the master leaves. A worker has its own copy."""
        if self.metrics is not None:
            self.metrics.close()

    def listen(self, address: str, log: Any) -> None:
        """Listen for scrapers, at another address than before if the settings have changed."""
        if address == self.address:
            return
        if self.metrics is not None:
            self.metrics.close()
        self.metrics, self.address = None, ""
        if not address:
            return
        try:
            self.metrics = _listener(address)
        except OSError as error:
            log.error("Cannot listen for metrics at %s: %s", address, error)
            return
        self.address = address
        log.info("Metrics at http://%s:%d/metrics", *self.metrics.getsockname()[:2])


_master: _Master | None = None


def share_for(worker: Any, cfg: Any, log: Any) -> Shared:
    """Return what a worker shares with its siblings. Runs on: the master, and a worker's own process if it has none."""
    master = _of_this_process()
    master.listen(Settings.from_config(cfg).metrics_bind, log)
    return Shared(master.board, master.board.give(worker), master.metrics, master.pid)


def enter(worker: Any, number: int) -> Entry | None:
    """Enter a worker on the roll of its master. Runs on: the master, before the fork."""
    return _of_this_process().roll.enter(worker, number)


def roll_of_master() -> Roll:
    """Return the roll. Runs on: the master."""
    return _of_this_process().roll


def _of_this_process() -> _Master:
    global _master
    if _master is None or _master.pid != os.getpid():
        _master = _Master(os.getpid())
        atexit.register(_master.close)
    return _master


def _listener(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):  # beside an old master, until that has left (USR2)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((host, int(port)))
        made.listen(64)
    except OSError:
        made.close()
        raise
    return made
