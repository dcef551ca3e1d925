"""A thread that answers those who ask about the worker, also while its loop is blocked.

Theory of operation
-------------------
One thread looks after a few listening sockets, and takes one caller after the other. Each has a *handler*, which reads
what is asked for, answers and returns; the socket that it gets has a timeout, and a caller has a few seconds in all: so
one that is slow, or silent, holds up the others for that long at most. Callers are operators and their tools, never the
clients of the application.

What a handler reads it reads without locks (`suspects.py`, `tally.py`).

Sibling workers may share a listening socket: whoever comes first takes the caller, and the others find nothing. A
caller who cannot be taken (no descriptor is left) stays where he is, and would wake the thread again and again: so it
pauses then, unless it is called.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
from collections.abc import Callable
from typing import Final

from uvicorn.bridge.outbox import Log

__all__ = ["Aside"]

_SECONDS: Final = 5.0  # for a caller to ask, and to take an answer; arbitrary
_PAUSE_SECONDS: Final = 1.0  # when a caller cannot be taken; as asyncio's


class Aside:
    """The thread, and what it looks after."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._selector = selectors.DefaultSelector()
        self._wake_up, self._woken = os.pipe()
        os.set_blocking(self._woken, False)
        self._selector.register(self._wake_up, selectors.EVENT_READ, None)
        self._wake_ups = selectors.PollSelector()  # needs no descriptor of its own, and takes any number of one
        self._wake_ups.register(self._wake_up, selectors.EVENT_READ)
        self._calls: list[Callable[[], None]] = []
        self._is_ended = False
        self._thread = threading.Thread(target=self._run, name="uvicorn-aside", daemon=True)

    def serve(self, listener: socket.socket, handler: Callable[[socket.socket], None]) -> None:
        """Have callers of a listening socket answered. Called before `start`."""
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, handler)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def call(self, function: Callable[[], None]) -> None:
        """Have a function called soon. Runs on: any thread, and signal handlers."""
        self._calls.append(function)
        try:
            os.write(self._woken, b"1")
        except OSError:  # it is full: the thread has something to do already
            pass

    def stop(self) -> None:
        """Take no more callers. Blocks: for the one who is served, a second at most."""
        self.call(self._end)
        if self._thread.ident is not None:
            self._thread.join(1.0)

    def _end(self) -> None:
        self._is_ended = True

    def _run(self) -> None:
        while not self._is_ended:
            for key, _ in self._selector.select():
                if key.data is None:
                    os.read(self._wake_up, 512)
                    while self._calls:
                        self._guarded(self._calls.pop(0))
                elif isinstance(key.fileobj, socket.socket):
                    self._accept(key.fileobj, key.data)

    def _accept(self, listener: socket.socket, handler: Callable[[socket.socket], None]) -> None:
        try:
            caller, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # a sibling was faster, or the caller has left
            return
        except OSError as error:
            self._log.warning("A caller could not be taken: %s", error)
            self._wake_ups.select(_PAUSE_SECONDS)
            return
        with caller:
            caller.settimeout(_SECONDS)
            self._guarded(lambda: handler(caller))

    def _guarded(self, function: Callable[[], None]) -> None:
        try:
            function()
        except OSError as error:  # the caller has left, or was too slow
            self._log.debug("A caller was not answered: %s", error)
        except Exception:
            self._log.error("Error in the answer to a caller", exc_info=True)
