"""What a master had before a reload, so that it has it again if the reload is given up."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Any, Final
from weakref import WeakSet

from gunicorn import sock as gunicorn_sock

from uvicorn.applications.failures import short_reason

__all__ = ["BeforeReload", "why_not_taken"]

_under_way: Final[WeakSet[BeforeReload]] = WeakSet()


class BeforeReload:
    """Configuration, number of workers and listening sockets of a master.

    Args:
        master: Gunicorn's arbiter.
    """

    def __init__(self, master: Any) -> None:
        self._master = master
        self._application = dict(vars(master.app))  # its `cfg` is made anew by each reload
        self._workers = master.num_workers
        self._folder = os.getcwd()
        self._pidfile = master.pidfile and master.pidfile.fname
        # A reload with another `bind` closes them, and an address that is in use cannot be bound again.
        self._listeners: list[tuple[Any, socket.socket]] = [(each, each.sock.dup()) for each in master.LISTENERS]
        _under_way.add(self)

    def restore(self) -> None:
        """Give the master what it had."""
        master = self._master
        vars(master.app).update(self._application)
        with suppress(OSError):
            os.chdir(self._folder)
        self._restore_listeners()
        master.setup(master.app)
        master.num_workers = self._workers
        if master.pidfile is not None and master.pidfile.fname != self._pidfile:
            master.pidfile.rename(self._pidfile)
        self.forget()

    def forget(self) -> None:
        """The new workers have taken over."""
        for _, kept in self._listeners:
            kept.close()
        self._listeners = []

    def _restore_listeners(self) -> None:
        if all(each.sock is not None for each, _ in self._listeners):
            return
        before = [each for each, _ in self._listeners]
        names = {kept.getsockname() for _, kept in self._listeners}
        made = [each for each in self._master.LISTENERS if each not in before and each.sock is not None]
        for each in made:
            gunicorn_sock.close_sockets([each], unlink=each.sock.getsockname() not in names)
        for each, kept in self._listeners:
            each.sock = kept.dup()
            each.sock.setblocking(False)
            each.sock.set_inheritable(True)  # a new master (USR2) gets it
        self._master.LISTENERS = before


def _forget_all() -> None:
    """Close in a new worker what the master has kept: nobody may listen at an address that was given up."""
    for each in [*_under_way]:
        each.forget()


os.register_at_fork(after_in_child=_forget_all)


def why_not_taken(error: BaseException) -> str:
    """Return in one line why a configuration could not be taken: what Gunicorn has ended the process for."""
    if not isinstance(error, SystemExit):
        return short_reason(error)
    return "SystemExit: see the lines before" if error.__context__ is None else short_reason(error.__context__)
