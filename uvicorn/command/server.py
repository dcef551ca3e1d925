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
import random
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final

from uvicorn.applications.contents import served
from uvicorn.bridge.stacks import is_main_thread
from uvicorn.command.config import Config
from uvicorn.command.http2 import check_http2, make_http2
from uvicorn.command.interpreter import restore_switch_interval, shorten_switch_interval
from uvicorn.command.listening import Listening, bind_all, shown
from uvicorn.command.loops import run_in_loop
from uvicorn.command.peers import GunicornPeers
from uvicorn.command.server_state import ServerState
from uvicorn.command.serving import Frame, Serving
from uvicorn.command.settings import DefaultThreads
from uvicorn.command.standard_log import AccessLog
from uvicorn.command.start_report import start_lines, start_of
from uvicorn.errors import StartupError

__all__ = ["Server"]

logger: Final = logging.getLogger("uvicorn.error")

_LOOK_SECONDS: Final = 0.1  # between two looks at what other threads may have set
_TICKS: Final = 10  # looks, per tick of the connections
_FAILED_TO_BIND: Final = 1  # the exit code, as that of the other package
_HANDLED: Final = (signal.SIGINT, signal.SIGTERM)


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
        self._lines: Callable[[list[str], bool], list[str]] | None = None  # of the start, plain or painted

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve in a loop of its own, until told to stop. Blocks: until then. Runs on: any thread that has no loop."""
        run_in_loop(self.serve(sockets=sockets), self.config.get_loop_factory())

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve in the running loop, until told to stop.

        Args:
            sockets: bound ones; None for what the configuration says.
        """
        with self.capture_signals():
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
        serving = self._serving = self._make_serving(asyncio.get_running_loop())
        self.server_state._serving = serving
        self.server_state.default_headers = list(config.encoded_headers)
        if not await self._start_application(serving):
            self.should_exit = True
            return
        try:
            listening = bind_all(sockets, config)
        except OSError as error:
            logger.error("%s", error)
            sys.exit(_FAILED_TO_BIND)
        serving.listen(listening, config.ssl).start()
        self.servers = [Listening(listening)]
        self._log_started(listening)
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
                await self._unless_forced(serving.stop_application(None))
        finally:
            _close(serving)
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

    # ---- what they do ----

    def _make_serving(self, loop: asyncio.AbstractEventLoop) -> Serving:
        config = self.config
        cfg = config.settings()
        settings = config.checked_settings(cfg)
        self._drain_delay = settings.drain_delay
        frame = Frame(
            threads=cfg.threads,
            are_threads_given=not isinstance(cfg.threads, DefaultThreads),
            connections=cfg.worker_connections,
            lifespan=cfg.asgi_lifespan,
            root_path=config.root_path,
            upload_folder=cfg.tmp_upload_dir,
            shows_errors=False,
            most_requests=cfg.max_requests + random.randint(0, cfg.max_requests_jitter)
            if cfg.max_requests
            else sys.maxsize,
            is_alone=False,
        )
        for message in check_http2(cfg, settings.http2_engine):
            logger.warning("%s", message)
        http2, name = make_http2(cfg, settings.http2_engine, settings.limits)
        application = config.application()
        shorten_switch_interval(settings.switch_interval)
        try:
            serving = Serving(
                loop,
                application,
                settings,
                frame,
                GunicornPeers(cfg, settings.forwarded_fields),
                logger,
                report=AccessLog() if AccessLog.wanted() else None,
                on_most_requests=self._on_most_requests,
                http2=http2,
            )
        except BaseException:
            restore_switch_interval()
            raise
        threads, contents = serving.dispatcher.pool.threads, served(application)
        self._lines = lambda addresses, paint: start_lines(
            start_of(addresses, cfg, settings, 1, threads, name), contents, paint
        )
        return serving

    async def _start_application(self, serving: Serving) -> bool:
        """Return whether it has started."""
        if serving.lifecycle.is_empty:
            return True
        logger.info("Waiting for application startup.")
        try:
            await self._unless_told(serving.lifecycle.start())
        except asyncio.CancelledError:
            if not self.should_exit:
                self._give_up(serving)
                raise
            logger.info("Told to stop while the application started.")
        except StartupError as error:
            logger.error("%s", error, exc_info=error.__cause__)
            logger.error("Application startup failed. Exiting.")
        except Exception:
            logger.exception("Application startup failed. Exiting.")
        else:
            logger.info("Application startup complete.")
            return True
        self._give_up(serving)
        return False

    def _give_up(self, serving: Serving) -> None:
        """Leave nothing of a start that came to nothing."""
        self._serving = self.server_state._serving = None
        _close(serving)

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

    async def _unless_told(self, work: Any) -> None:
        await self._unless(work, lambda: self.should_exit)

    async def _unless_forced(self, work: Any) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await self._unless(work, lambda: self.force_exit)

    async def _unless(self, work: Any, is_over: Callable[[], bool]) -> None:
        """Wait for something; break it off if something else is said meanwhile. Raises: CancelledError then."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await asyncio.wait([task], timeout=_LOOK_SECONDS)
                if is_over() and not task.done():
                    raise asyncio.CancelledError
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task], timeout=_LOOK_SECONDS)
        task.result()

    async def _notify(self) -> None:
        config, now = self.config, time.time()
        if config.callback_notify is not None and now - self.last_notified > config.timeout_notify:
            self.last_notified = now
            await config.callback_notify()

    def _on_most_requests(self) -> None:
        if not self.should_exit:
            logger.warning("Maximum request limit of %d exceeded. Terminating process.", self.config.limit_max_requests)
            self.should_exit = True

    def _log_started(self, sockets: list[socket.socket]) -> None:
        scheme = "https" if self.config.is_ssl else "http"
        if self.config.fd is not None:
            where = f"socket {sockets[0].getsockname()}"
        else:
            where = ", ".join(shown(sock, scheme) for sock in sockets)
        assert self._lines is not None
        for line, painted in zip(self._lines([where], False), self._lines([where], True), strict=True):
            logger.info(line, extra={"color_message": painted})
        text = "Uvicorn running on %s (Press CTRL+C to quit)"
        logger.info(text, where, extra={"color_message": text.replace("%s", "\033[1m%s\033[0m")})


def _close(serving: Serving) -> None:
    serving.close()
    restore_switch_interval()
