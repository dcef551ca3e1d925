"""`uvicorn.Server`: one server in the process and the loop of whoever calls it, without Gunicorn's master.

Theory of operation
-------------------
The connections, the bridge and the governor are the worker's (`serving.py`); here is the life around them, in the steps
that subclasses know: `startup`, `main_loop` with `on_tick` ten times a second, `shutdown`. Another thread, or a signal,
stops it by setting `should_exit`, which `on_tick` sees, and `force_exit`, which ends a `shutdown` that waits.

Several servers may run in one process, in threads or on one loop. What they share is kept apart elsewhere
(`bridge/crossing.py`, `applications/frameworks.py`, `bridge/loop_executor.py`); the interpreter's switch interval is
that of the first one, until the last one has stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

from uvicorn.bridge.daemons import ended_with_process
from uvicorn.bridge.stacks import is_main_thread
from uvicorn.command.config import Config
from uvicorn.command.listening import Listening, bind_all
from uvicorn.command.loops import run_in_loop
from uvicorn.command.missing import refuse_attribute
from uvicorn.command.server_application import close, prepare, report_start, start_application, unless
from uvicorn.command.server_state import ServerState
from uvicorn.command.serving import Serving

__all__ = ["Server"]

logger: Final = logging.getLogger("uvicorn.error")

_LOOK_SECONDS: Final = 0.1  # between two looks at what other threads may have set
_TICKS: Final = 10  # looks, per tick of the connections
_FAILED_TO_BIND: Final = 1  # the exit code, as that of the other package
_HANDLED: Final = (signal.SIGINT, signal.SIGTERM)
#: attributes of the other package's -> what to do instead
_INSTEAD: Final = {"lifespan": "`started` says that the application has started, and `should_exit` that it could not"}


class Server:
    """A server in the caller's process. Its methods run on: the loop, unless they say otherwise.

    Attributes:
        started: it accepts connections, and its application has started. Any thread may read it.
        should_exit: set it to have the server stop; from any thread.
        force_exit: set it, too, to have it wait for nothing.
        servers: where it listens: one object, with `sockets`.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.server_state = ServerState()
        self.started = False
        self.should_exit = False
        self.force_exit = False
        self.last_notified = 0.0
        self.servers: list[Listening] = []
        self._captured: list[int] = []
        self._drain_delay = 0.0  # the setting
        self._delayed_seconds = 0.0
        self._serving: Serving | None = None

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve in a loop of its own, until told to stop. Blocks: until then. Runs on: any thread that has no loop."""
        run_in_loop(self.serve(sockets=sockets), self.config.get_loop_factory())

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve in the running loop, until told to stop.

        Args:
            sockets: bound ones; None for what the configuration says.
        """
        with self.capture_signals(), ended_with_process(self):
            await self._serve(sockets)

    async def _serve(self, sockets: list[socket.socket] | None = None) -> None:
        pid = os.getpid()
        if not self.config.loaded:
            self.config.load()
        logger.info("Started server process [%d]", pid, extra={"color_message": "Started server process [%d]"})
        try:
            await self.startup(sockets=sockets)
            if self.started and not self.should_exit:
                await self.main_loop()
                await self._wait_for_clients()
        finally:
            if self.started:
                await self.shutdown(sockets=sockets)
            await self._end()  # also if a subclass has shut down in a way of its own
        if not self.started:
            return
        logger.info("Finished server process [%d]", pid)

    # ---- the steps, for subclasses ----

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, and accept connections. If the application cannot start, `should_exit` is set.

        Raises: SystemExit if the server cannot listen where it should.
        """
        config = self.config
        prepared = prepare(config, asyncio.get_running_loop(), self._on_most_requests)
        serving = self._serving = self.server_state._serving = prepared.serving
        self._drain_delay = prepared.drain_delay
        self.server_state.default_headers = list(config.encoded_headers)
        try:
            has_started = await start_application(serving, lambda: self.should_exit)
        except asyncio.CancelledError:
            self._give_up(serving)
            raise
        if not has_started:
            self._give_up(serving)
            self.should_exit = True
            return
        try:
            listening = bind_all(sockets, config)
        except OSError as error:
            logger.error("%s", error)
            sys.exit(_FAILED_TO_BIND)
        serving.listen(listening, config.ssl).start()
        serving.warn()
        self.servers = [Listening(listening)]
        report_start(config, prepared, listening)
        self.started = True

    async def main_loop(self) -> None:
        """Look, again and again, whether the server shall stop."""
        counter = 0
        while not await self.on_tick(counter):
            counter = (counter + 1) % 864000
            await asyncio.sleep(_LOOK_SECONDS)

    async def on_tick(self, counter: int) -> bool:
        """Do what is due, ten times a second. Returns: whether the server shall stop."""
        if counter % _TICKS == 0 and self._serving is not None:
            self._serving.tick()
            await self._notify()
        return self.should_exit

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop in stages: accept no more, answer what is there, stop the application, leave nothing behind."""
        if self._serving is None:
            return
        logger.info("Shutting down")
        try:
            await self._end()
        finally:
            for sock in sockets or ():
                sock.close()

    async def _end(self) -> None:
        """Stop what was started, and leave nothing behind.

        Cancellation: whoever cancels it waits for no client, nor for the application; it comes to its end all the same.
        """
        serving, self._serving = self._serving, None
        if serving is None:
            return
        stopping, is_cancelled = asyncio.ensure_future(self._stop(serving)), False
        while not stopping.done():
            try:
                await asyncio.wait([stopping])
            except asyncio.CancelledError:
                self.force_exit = is_cancelled = True
        stopping.result()
        if is_cancelled:
            raise asyncio.CancelledError

    async def _stop(self, serving: Serving) -> None:
        try:
            await self._drain(serving)
            if not self.force_exit:
                with contextlib.suppress(asyncio.CancelledError):
                    await unless(lambda: self.force_exit, serving.stop_application(None))
        finally:
            close(serving)
            self.server_state.total_requests  # noqa: B018 (remembers the number)
            self.server_state._serving = None
            for listening in self.servers:
                listening.close()

    # ---- signals ----

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A context manager in which INT and TERM stop the server; they are raised again at its end.

        Only the main thread gets signals: in another one it does nothing. A subclass that has an
        `install_signal_handlers` of its own, as older versions of the other package had it, has that called instead.
        """
        if type(self).install_signal_handlers is not Server.install_signal_handlers:
            self.install_signal_handlers()
            yield
            return
        if not is_main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _HANDLED}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        while self._captured:
            signal.raise_signal(self._captured.pop())

    def install_signal_handlers(self) -> None:
        """Do nothing: `capture_signals` does it. A subclass may override it, so as to handle no signals."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; at a second INT, wait for nothing. Runs on: the main thread, between any two of its bytecodes."""
        self._captured.append(sig)
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        else:
            self.should_exit = True

    @property
    def limit_max_requests(self) -> int | None:
        """The setting; a jitter is added when the server starts."""
        return self.config.limit_max_requests

    if not TYPE_CHECKING:  # or every name would be one

        def __getattr__(self, name: str) -> NoReturn:
            refuse_attribute(self, name, _INSTEAD)

    # ---- what they do ----

    def _give_up(self, serving: Serving) -> None:
        """Leave nothing of a start that came to nothing."""
        self._serving = self.server_state._serving = None
        close(serving)

    async def _wait_for_clients(self) -> None:
        """Accept for `drain_delay` more after TERM, while readiness says no. Another signal ends it."""
        serving = self._serving
        if not self._drain_delay or self._captured != [signal.SIGTERM] or serving is None:
            return
        logger.info("Stopping in %g seconds, and accepting until then", self._drain_delay)
        serving.announce_stop()
        began, looks = time.monotonic(), 0
        while self._captured == [signal.SIGTERM] and self._delayed_seconds < self._drain_delay:
            if looks % _TICKS == 0:
                serving.tick()
            looks += 1
            await asyncio.sleep(min(_LOOK_SECONDS, self._drain_delay))
            self._delayed_seconds = time.monotonic() - began

    async def _drain(self, serving: Serving) -> None:
        server = serving.server
        if server is None:
            return
        seconds = self.config.timeout_graceful_shutdown
        most = float("inf") if seconds is None else max(0.0, seconds - self._delayed_seconds)
        draining = asyncio.ensure_future(server.drain(most))
        await asyncio.sleep(0)
        server.close_idle()
        if server.is_busy:
            logger.info("Waiting for connections to close. (CTRL+C to force quit)")
        while not draining.done():
            if self.force_exit:
                serving.hurry()
            await asyncio.wait([draining], timeout=_LOOK_SECONDS)
        draining.result()

    async def _notify(self) -> None:
        config, now = self.config, time.time()
        if config.callback_notify is not None and now - self.last_notified > config.timeout_notify:
            self.last_notified = now
            await config.callback_notify()

    def _on_most_requests(self) -> None:
        if not self.should_exit:
            logger.warning("Maximum request limit of %d exceeded. Terminating process.", self.config.limit_max_requests)
            self.should_exit = True
