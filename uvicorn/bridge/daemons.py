"""Servers in daemon threads of a process that ends.

Python ends while such threads run, and a thread that wants the interpreter then is ended wherever it stands. In the
midst of C code, as an event loop is, that may crash the process. So these servers are ended before.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

__all__ = ["ended_with_process"]

_MOST_SECONDS: Final = 2.0  # that the end of a process waits for them; arbitrary


class Endable(Protocol):
    """A server that looks, again and again, whether it shall stop."""

    should_exit: bool
    force_exit: bool


@contextmanager
def ended_with_process(server: Endable) -> Iterator[None]:
    """A context manager in which a server is ended with the process, if its thread is a daemon.

    Runs on: that thread.
    """
    entry = server, threading.current_thread()
    if entry[1].daemon:
        _running.append(entry)
    try:
        yield
    finally:
        if entry in _running:
            _running.remove(entry)


def _end_all() -> None:
    found = tuple(_running)
    for server, _ in found:
        server.should_exit = server.force_exit = True
    for _, thread in found:
        thread.join(_MOST_SECONDS)


_running: Final[list[tuple[Endable, threading.Thread]]] = []
# `atexit` is too late: before that Python waits for threads that are no daemons, such as those of our pools.
threading._register_atexit(_end_all)  # type: ignore[attr-defined]  # there is no public way
