"""Processes in which a server's `run` is called, for supervisors.

They are spawned, not forked: tools that use these supervisors rely on a fresh interpreter, in which the main module is
imported again (as `__mp_main__`). `uvicorn.run` needs none of this: it has Gunicorn's master.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from uvicorn.command.config import Config

__all__ = ["ServerProcess", "Supervisor"]

logger: Final = logging.getLogger("uvicorn.error")

_spawning: Final = multiprocessing.get_context("spawn")


class ServerProcess:
    """One process that serves.

    Args:
        target: called there, with `sockets`; it must be picklable, and so must the configuration.
    """

    def __init__(self, config: Config, target: Callable[..., None], sockets: list[socket.socket]) -> None:
        try:
            stdin: int | None = sys.stdin.fileno()
        except (AttributeError, OSError, ValueError):  # none, or one that is no file
            stdin = None
        arguments = {"config": config, "target": target, "sockets": sockets, "stdin": stdin}
        self.process: Final = _spawning.Process(target=_serve, kwargs=arguments)

    @property
    def pid(self) -> int | None:
        """Its process id, when it has started."""
        return self.process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self.process.is_alive()

    def start(self) -> None:
        """Start it."""
        self.process.start()

    def stop(self, patience: float | None = None) -> None:
        """Have it stop, and wait for it; after `patience` seconds, if given, it is killed."""
        if self.process.is_alive():
            self.process.terminate()
        self.process.join(patience)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process.close()


def _serve(config: Config, target: Callable[..., None], sockets: list[socket.socket], stdin: int | None) -> None:
    """Serve. Runs on: the main thread of the new process."""
    if stdin is not None:
        try:
            sys.stdin = os.fdopen(stdin)  # a debugger in the application reads it
        except OSError:
            pass
    config.configure_logging()
    try:
        target(sockets=sockets)
    except KeyboardInterrupt:
        pass  # INT has stopped it, and the supervisor, too


class Supervisor:
    """What starts processes, and stops them when it is told to. All methods run on: the main thread.

    Attributes:
        should_exit: an Event; set it to have it stop, from any thread.
    """

    def __init__(
        self, config: Config, target: Callable[..., None] | None = None, sockets: list[socket.socket] | None = None
    ) -> None:
        if isinstance(target, list):  # given as Multiprocess(config, sockets)
            target, sockets = None, target
        self.config: Final = config
        self.sockets: Final = list(sockets or [])
        self.should_exit: Final = threading.Event()
        self.target: Final = target if target is not None else _target_of(config)
        self.pid: Final = os.getpid()

    def run(self) -> None:
        """Supervise until told to stop. Blocks: until then."""
        logger.info("Started parent process [%d]", self.pid)
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            self.start()
            while not self.should_exit.wait(self.interval):
                self.look()
        finally:
            self.stop()
            for sock in self.sockets:
                sock.close()
            for number, handler in before.items():
                signal.signal(number, handler)
            logger.info("Stopping parent process [%d]", self.pid)

    @property
    def interval(self) -> float:
        """Seconds between two looks."""
        return 0.5

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop."""
        self.should_exit.set()

    def make(self) -> ServerProcess:
        """Return a process that has started."""
        process = ServerProcess(self.config, self.target, self.sockets)
        process.start()
        return process

    def start(self) -> None:
        """Start what is supervised."""
        raise NotImplementedError

    def look(self) -> None:
        """Do what is due."""

    def stop(self) -> None:
        """Stop what is supervised."""
        raise NotImplementedError


def _target_of(config: Config) -> Callable[..., Any]:
    from uvicorn.command.server import Server

    return Server(config).run
