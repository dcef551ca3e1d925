"""What the master tells systemd (`Type=notify`): datagrams to the socket that NOTIFY_SOCKET names.

Spec: sd_notify(3), sd_watchdog_enabled(3).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping
from typing import Any, Final

__all__ = ["Notifier", "give_back", "hold_back"]

_held: dict[str, str] = {}  # what Gunicorn does not find in the environment until it has started
_is_given_back = False


def hold_back(environ: MutableMapping[str, str]) -> None:
    """Keep Gunicorn's master from saying READY=1 when no worker is ready. Does nothing after `give_back`."""
    if "NOTIFY_SOCKET" in environ and not _is_given_back:
        _held["NOTIFY_SOCKET"] = environ.pop("NOTIFY_SOCKET")


def give_back(environ: MutableMapping[str, str]) -> None:
    """Put back what was kept: Gunicorn's master has listened by now, and says no more."""
    global _is_given_back
    _is_given_back = True
    environ.update(_held)
    _held.clear()


class Notifier:
    """What tells systemd. Does nothing where there is none.

    Args:
        environ: NOTIFY_SOCKET is taken out of it, so that neither Gunicorn nor an application speaks for the service.
    """

    def __init__(self, environ: MutableMapping[str, str], log: Any) -> None:
        self._address: Final = environ.pop("NOTIFY_SOCKET", "")
        self._watchdog = environ.get("WATCHDOG_USEC", "")
        self._log = log
        self._status = ""
        self._pinged = float("-inf")  # not 0.0: the clock may begin with the machine
        self.watchdog_seconds: Final = _watchdog_seconds(environ) if self._address else 0.0

    @property
    def is_on(self) -> bool:
        """Whether somebody listens."""
        return bool(self._address)

    def ready(self, status: str) -> None:
        """The service is up, or a reload is over."""
        self._tell(f"READY=1\nSTATUS={status}")
        self._status = status

    def reloading(self, status: str) -> None:
        """A reload has begun."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={microseconds}\nSTATUS={status}")
        self._status = status

    def stopping(self, status: str) -> None:
        """The service goes down."""
        self._tell(f"STOPPING=1\nSTATUS={status}")
        self._status = status

    def lend(self, environ: MutableMapping[str, str]) -> None:
        """Give a program that will be the service's main process what this one had."""
        if self._address:
            environ["NOTIFY_SOCKET"] = self._address
            environ["WATCHDOG_USEC"] = self._watchdog
            environ.pop("WATCHDOG_PID", None)  # it has another one

    def hand_over(self, pid: int) -> None:
        """Another process is the service's main one from here on, and speaks for it."""
        self._tell(f"MAINPID={pid}")

    def status(self, status: str) -> None:
        """Say what the service does, if that has changed."""
        if status != self._status:
            self._tell(f"STATUS={status}")
            self._status = status

    def ping(self) -> None:
        """The service is alive. Told twice as often as systemd wants to hear it, at most."""
        now = time.monotonic()
        if self.watchdog_seconds and now - self._pinged >= self.watchdog_seconds / 4:
            self._pinged = now
            self._tell("WATCHDOG=1")

    def _tell(self, text: str) -> None:
        address = self._address
        if not address:
            return
        if address.startswith("@"):
            address = "\0" + address[1:]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.settimeout(1.0)  # a master must not wait for a systemd that is stuck
                sock.connect(address)
                sock.sendall(text.encode())
        except OSError as error:
            self._log.debug("Cannot tell systemd: %s", error)


def _watchdog_seconds(environ: MutableMapping[str, str]) -> float:
    """Return after how many seconds of silence systemd gives the service up; 0 for never."""
    try:
        microseconds = int(environ.get("WATCHDOG_USEC", "0"))
        pid = int(environ.get("WATCHDOG_PID") or os.getpid())
    except ValueError:
        return 0.0
    return max(0, microseconds) / 1e6 if pid == os.getpid() else 0.0
