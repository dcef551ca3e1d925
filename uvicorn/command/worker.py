"""ASGIWorker: Gunicorn on one side, the loop on the other. No protocol knowledge.

Before the fork there is a half-built object and nothing else; loop, threads and locks are made in the
child. `run` is the whole life of the worker: serve until something says stop, drain, leave.

What stops it - TERM (also sent on HUP and TTOU), the reloader, a master that has gone - sets `alive` to False, and all
go through `Server.drain`. INT and QUIT do so without waiting. TERM may find that the worker that was made in the place
of this one is not ready yet: then it goes on for a while (`departure.py`). `max_requests` and the bounds of age and
memory ask for another worker first (`replacement.py`).
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any, Final

from gunicorn.app.wsgiapp import WSGIApplication
from gunicorn.errors import AppImportError, ConfigError
from gunicorn.workers.base import Worker

from uvicorn import __version__
from uvicorn.applications.loading import load_site, make_application
from uvicorn.applications.router import Router, SingleConsumer
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.bridge.stacks import describe_all_threads, threads_left
from uvicorn.command import compatibility
from uvicorn.command.attending import check_attending
from uvicorn.command.balance import balance_for
from uvicorn.command.channel_layer import make_place
from uvicorn.command.departure import Departure
from uvicorn.command.http2 import alpn_protocols, make_http2
from uvicorn.command.legacy import prepare, with_layer
from uvicorn.command.log_guard import guard_logs
from uvicorn.command.log_presets import keep_dressed, prepare_log, wants_paint
from uvicorn.command.loops import loop_factory
from uvicorn.command.peers import GunicornPeers
from uvicorn.command.plain_master import adjust_master
from uvicorn.command.replacement import Replacement, age_for_master, hand_over, wake_master
from uvicorn.command.reporting import GunicornHooks, Reporter
from uvicorn.command.roll import FAILED, LEAVING, READY, Entry
from uvicorn.command.serving import Frame, Serving
from uvicorn.command.settings import DefaultThreads, Settings, read
from uvicorn.command.share import enter, share_for
from uvicorn.command.tls import make_ssl_context
from uvicorn.connections.server import Server
from uvicorn.watching.retirement import NOW
from uvicorn.watching.watching import Watching

if TYPE_CHECKING:
    from uvicorn.command.reloading import Reloading

__all__ = ["ASGIWorker"]

_TICK_SECONDS: Final = 1.0
_LAST_SECONDS: Final = 0.1  # for threads and generators that are about to end
_QUICK_SECONDS: Final = 1.0  # for the application to stop on INT and QUIT
_BOOT_ERROR: Final = 3  # gunicorn.arbiter.Arbiter.WORKER_BOOT_ERROR
_LATE_BOOT_ERROR: Final = 1  # while others serve: it does not halt the master
_LEAST_BOUND_SECONDS: Final = 60.0  # for new workers to be ready, under plain gunicorn; arbitrary
_LATER_SECONDS: Final = 0.9  # after the master may have sent ABRT, and before it sends KILL
_WHY_BLOCKED: Final = (
    "its event loop has done nothing for %s seconds (timeout). What the main thread does below has blocked it, "
    "most often a coroutine that computes, or calls what waits: write it as a plain 'def', or call that with "
    "'await run_in_pool(...)'"
)
_WHY_SLOW_START: Final = (
    "the application was not imported, and had not started, within %s seconds (timeout). What the main thread does "
    "below has taken so long: make it shorter, or raise the timeout"
)
_COLLECT_AFTER: Final = 10_000  # objects; arbitrary: about a thousand requests in flight


class ASGIWorker(Worker):  # type: ignore[misc]  # Gunicorn has no types
    """A Gunicorn worker that serves message consumers: `gunicorn -k uvicorn.ASGIWorker app:consumer`."""

    generation = 0  # which reload has made it; for the command's master
    tells_when_ready = True  # on the roll

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.entry: Entry | None = None
        super().__init__(*args, **kwargs)
        self.entry = enter(self, self._age)
        self.server: Server | None = None
        self.application: Router | SingleConsumer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._serving: Serving | None = None
        self._is_quick = False
        self._is_loading = False
        self._delayed_seconds = 0.0  # of graceful_timeout, in which it accepts still
        self._replacement: Replacement | None = None
        self._departure: Departure | None = None
        self._place = make_place(self.cfg.uid, self.cfg.gid, read(self.cfg)["channel_layer"])
        self._watching: Watching | None = None
        self._shared = share_for(self, self.cfg, self.log)
        self._reloading: Reloading | None = None

    @property
    def age(self) -> int:
        """The worker's number, by which Gunicorn's master knows the oldest; 0 for one that wants to be replaced."""
        return age_for_master(self, self._age)

    @age.setter
    def age(self, age: int) -> None:
        self._age = age

    @property
    def pid(self) -> Any:
        """The process, or "[booting]" before there is one. Set after the fork, in the master and in the worker."""
        return self._pid

    @pid.setter
    def pid(self, pid: Any) -> None:
        self._pid = pid
        if self.entry is not None and isinstance(pid, int):
            self.entry.set_pid(pid)

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse settings that we cannot serve, and name those that have no effect. Runs in the master.

        Raises: RuntimeError, which Gunicorn prints as one line.
        """
        try:
            settings = Settings.from_config(cfg)
            loop_factory(settings.loop_factory)
        except (ConfigError, ValueError, ImportError, AttributeError) as error:
            raise RuntimeError(str(error)) from None
        prepare_log(log, cfg, settings)
        keep_dressed(log)
        check_attending(settings.attending)
        given = getattr(cfg, "uvicorn_warnings", ())
        for message in (*given, *compatibility.check(cfg, settings.http2_engine)):
            log.warning(message)
        if settings.drain_delay >= cfg.graceful_timeout:
            log.warning(
                "drain_delay (%g seconds) leaves nothing of graceful_timeout (%s) for requests",
                settings.drain_delay,
                cfg.graceful_timeout,
            )
        adjust_master(cfg)
        gc.collect()
        gc.freeze()  # the workers' collectors do not touch, and so copy, what they share with the master

    # ---- start, in the child ----

    def init_process(self) -> None:
        """Make the loop; then do what every worker does."""
        factory = loop_factory(Settings.from_config(self.cfg).loop_factory)
        self._loop = asyncio.new_event_loop() if factory is None else factory()
        asyncio.set_event_loop(self._loop)
        guard_logs(self.log)
        try:
            super().init_process()
        except AppImportError:
            raise
        except Exception as error:
            if self.booted or not self._others_serve():
                raise
            self.log.exception("Exception in worker process")
            self._give_up_start(f"{type(error).__name__}: {error}")

    def init_signals(self) -> None:
        """Set handlers that are good until the loop runs; the loop has a wake-up descriptor of its own."""
        super().init_signals()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGUSR2, self._on_usr2)
        signal.siginterrupt(signal.SIGUSR2, False)
        if self.entry is not None and self.entry.is_told:
            self.entry.tell(LEAVING)
            sys.exit(0)  # it was sent before: the master's handlers, which a new process has, have swallowed it

    def load_wsgi(self) -> None:
        """Load the application, and all that can fail before the worker has booted.

        Raises: AppImportError with one sentence; SystemExit with Gunicorn's boot error, when all is said.
        """
        self.settings = Settings.from_config(self.cfg)
        self._shared.begin(self.pid)
        prepare_log(self.log, self.cfg, self.settings)
        if self.cfg.reload:
            self._watch_files()
        try:
            self._is_loading = True
            prepare(self.cfg)
            self.application = self._load()
            self._is_loading = False
            if not self.alive:
                sys.exit(0)  # the application has caught the SystemExit of `handle_exit`
            self.settings = with_layer(self.settings)
            if self._reloading is not None:
                self._reloading.is_loaded()
            self._prepare(self.application)
        except BaseException as error:
            self._is_loading = False
            if _is_told_to(error):
                self._leave_stuck_threads()
                raise
            self._has_failed(error)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """TERM has come before the loop runs: an import is not waited for, nobody needs it any more.

        Raises: SystemExit(0).
        """
        self.alive = False
        if self.entry is not None:
            self.entry.tell(LEAVING)
        if self._is_loading:
            sys.exit(0)

    def _others_serve(self) -> bool:
        return self.entry is not None and self.entry.has_sibling_that_serves()

    def _give_up_start(self, reason: str) -> None:
        """Leave because the worker cannot start; the master goes on if others serve.

        Raises: SystemExit.
        """
        code = _LATE_BOOT_ERROR if self._others_serve() else _BOOT_ERROR
        if self.entry is not None:
            self.entry.tell(FAILED, reason)
        self._leave_stuck_threads(exit_code=code)
        sys.exit(code)

    def _prepare(self, application: Router | SingleConsumer) -> None:
        _tune_collector()
        self._check_again()
        engine = self.settings.http2_engine
        self.ssl_context = make_ssl_context(self.cfg, alpn_protocols(self.cfg, engine))
        self._http2, self._http2_name = make_http2(self.cfg, engine, self.settings.limits)
        if self.cfg.threads == 1 and not all(consumer.is_async for consumer in application.consumers()):
            self.log.warning("Synchronous consumers run one at a time, in one thread: use --threads for more")
        self._start_application(application)

    def _watch_files(self) -> None:
        """Watch files in our own way, in place of Gunicorn's reloader."""
        from uvicorn.command.reloading import Reloading  # in development only

        self._reloading = Reloading(self, self.settings)
        self.reloader = self._reloading.reloader

    def _has_failed(self, error: BaseException) -> None:
        """Say what went wrong; in development to each client, too, until a file changes.

        Raises: what `load_wsgi` does, but in development.
        """
        from uvicorn.applications.failures import failing_application, failure_text, short_reason

        if self._reloading is None and isinstance(error, AppImportError):
            if self._others_serve():
                self.log.error("The application cannot be served: %s", error)
                self._give_up_start(str(error))
            if self.entry is not None:
                self.entry.tell(FAILED, str(error))
            raise error
        text = failure_text(error)
        waits = "" if self._reloading is None else "; waiting for a change"
        self.log.error("The application cannot be served%s\n%s", waits, text)
        if self._reloading is None:
            self._give_up_start(short_reason(error))
        assert self._reloading is not None
        self._reloading.has_failed(error)
        self._reloading.is_loaded()
        self.application = failing_application(text)
        self._prepare(self.application)

    def _check_again(self) -> None:
        """Tell of what `check_config` would have refused: Gunicorn does not call it when it reloads."""
        try:
            compatibility.check(self.cfg, self.settings.http2_engine)
        except RuntimeError as error:
            self.log.error("%s (ignored until the next start)", error)

    def _load(self) -> Router | SingleConsumer:
        app = self.app
        uri = getattr(app, "app_uri", None) or "the application"
        # Gunicorn's own loader would refuse a list of routes, and shows a traceback for a wrong name.
        if type(app) is WSGIApplication and app.callable is None and self.cfg.paste is None:
            return load_site(uri, self.settings.interface)
        return make_application(app.wsgi(), uri, self.settings.interface)

    def _start_application(self, application: Router | SingleConsumer) -> None:
        """Make what consumers run in, and have the application start.

        Raises: what an `on_startup` raises, StartupError; SystemExit(0) if the worker is told to stop meanwhile.
        """
        assert self._loop is not None
        self._serving = self._make_serving(self._loop, application)
        if self._serving.lifecycle.is_empty:
            return
        try:
            self._loop.run_until_complete(self._started(self._serving))
        except BaseException:
            self._serving.close()
            raise

    def _make_serving(self, loop: asyncio.AbstractEventLoop, application: Router | SingleConsumer) -> Serving:
        """Give what serves the application Gunicorn's settings, hooks and log."""
        cfg, log = self.cfg, self.log
        threads: int = cfg.threads
        frame = Frame(
            threads=threads,
            are_threads_given=threads > 1 and not isinstance(threads, DefaultThreads),
            connections=cfg.worker_connections,
            lifespan=cfg.asgi_lifespan,
            root_path=cfg.root_path,
            upload_folder=cfg.tmp_upload_dir,
            shows_errors=cfg.reload,
            most_requests=self.max_requests,
            layer_place=self._place,
        )
        return Serving(
            loop,
            application,
            self.settings,
            frame,
            GunicornPeers(cfg, self.settings.forwarded_fields),
            log,
            hooks=GunicornHooks(cfg, self, log) if GunicornHooks.wanted(cfg, log) else None,
            http2=self._http2,
            report=Reporter(log) if Reporter.wanted(log) else None,
            on_most_requests=self._on_most_requests,
            on_lost_pool=self._on_lost_pool,
        )

    async def _started(self, serving: Serving) -> None:
        """Wait until the application has started; go on telling the master that we live.

        Raises: SystemExit(0) if the worker is to stop meanwhile.
        """
        starting = asyncio.ensure_future(serving.lifecycle.start())
        while not starting.done():
            self.notify()
            await asyncio.wait([starting], timeout=min(_TICK_SECONDS, self.timeout / 2 or _TICK_SECONDS))
            if not starting.done() and (not self.alive or self.ppid != os.getppid()):
                starting.cancel()
                await asyncio.wait([starting], timeout=_LAST_SECONDS)
                sys.exit(0)
        starting.result()

    # ---- life ----

    def run(self) -> None:
        """Serve until told to stop. Called by Gunicorn."""
        assert self._loop is not None
        loop = self._loop
        try:
            self._run_until_served(loop)
            loop.run_until_complete(self._end_tasks())
            loop.run_until_complete(self._close_generators())
        finally:
            if self._serving is not None:
                self._serving.give_back()
            asyncio.set_event_loop(None)
            loop.close()
            self._leave_stuck_threads()

    def _run_until_served(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run the loop until the worker has stopped; stop in order if a task of the application exits the process."""
        serving = loop.create_task(self._serve())
        while not serving.done():
            try:
                loop.run_until_complete(serving)
            except (SystemExit, KeyboardInterrupt):
                if self._is_quick or serving.done():  # we are on our way out already
                    raise
                self.log.exception("A task of the application asked the process to exit: the worker stops")
                self._stop_soon()

    async def _end_tasks(self) -> None:
        """Cancel what the application has begun beside its requests, as `asyncio.run` does."""
        assert self._loop is not None
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if not left:
            return
        for task in left:
            task.cancel()
        ended, stubborn = await asyncio.wait(left, timeout=_LAST_SECONDS)
        for task in ended:
            if not task.cancelled() and task.exception() is not None:
                text = "A task of the application failed at the end"
                self._loop.call_exception_handler({"message": text, "exception": task.exception(), "task": task})
        for task in stubborn:
            self.log.warning("Leaving without waiting for a task that was cancelled: %r", task.get_coro())
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is said already

    async def _close_generators(self) -> None:
        """Let asynchronous generators that were left behind end; one that does not is not waited for."""
        assert self._loop is not None
        closing = self._loop.create_task(self._loop.shutdown_asyncgens())
        await asyncio.wait([closing], timeout=_LAST_SECONDS)

    async def _serve(self) -> None:
        assert self._loop is not None
        assert self._serving is not None
        loop, serving = self._loop, self._serving
        if self.settings.switch_interval:
            sys.setswitchinterval(self.settings.switch_interval)
        self._stop = asyncio.Event()
        for number, handler in (
            (signal.SIGTERM, self._on_term),
            (signal.SIGINT, self._on_quit),
            (signal.SIGQUIT, self._on_quit),
            (signal.SIGUSR1, self.log.reopen_files),
            (signal.SIGWINCH, _nothing),
        ):
            loop.add_signal_handler(number, handler)
        loop.add_reader(self.PIPE[0], self._on_pipe)  # the reloader writes to it
        self._watch_departure(loop)
        self.server = serving.listen([listener.sock for listener in self.sockets], self.ssl_context)
        self.server.take_turns(balance_for(self.entry, self.cfg, serving.dispatcher))
        self.server.start()
        self._watching = serving.watch(self._shared, self.pid)
        self._report_start()
        self._tick()
        self._is_ready()
        await self._stop.wait()
        if self._is_quick:
            self.server.hurry()
        else:
            self.log.info("Worker stopping (pid: %s)", self.pid)
        graceful = self.cfg.graceful_timeout - self._delayed_seconds
        deadline = loop.time() + graceful - (graceful - drain_seconds(graceful)) / 2
        await self.server.drain(drain_seconds(graceful))
        await serving.stop_application(_QUICK_SECONDS if self._is_quick else max(_LAST_SECONDS, deadline - loop.time()))
        serving.close()
        for listener in self.sockets:
            listener.close()

    def _watch_departure(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make what knows when the worker may leave, and what asks for another one in its place."""
        bound = max(_LEAST_BOUND_SECONDS, self.cfg.timeout + self.cfg.graceful_timeout)
        departure = Departure(self, self.entry, loop, self.log, bound, self._stop_soon, self._on_staying)
        is_orderly = self.entry is not None and self.entry.roll.is_orderly
        self._replacement = Replacement(self, loop, self.log, self._stop_soon, is_orderly, lambda: departure.is_waiting)
        self._departure = departure

    def _on_staying(self) -> None:
        """The worker was told to leave, and stays: the one in its place could not start."""
        assert self._replacement is not None
        self._replacement.ask_again()

    def _is_ready(self) -> None:
        """Tell that the worker accepts: old ones may leave."""
        if self.entry is not None and self.alive:
            self.entry.tell(READY)
        wake_master(self)

    def _report_start(self) -> None:
        """Say what is served; the first worker does it at length."""
        assert self._serving is not None
        assert self.application is not None
        from uvicorn.command.start_report import start_lines, start_of, variants

        if self._age > 1:
            text = "Serving with uvicorn %s, %s (pid: %s)"
            self.log.info(text, __version__, variants(self._http2_name), self.pid)
            return
        from uvicorn.applications.contents import served  # once

        addresses, threads = [str(listener) for listener in self.sockets], self._serving.dispatcher.pool.threads
        start = start_of(addresses, self.cfg, self.settings, self.cfg.workers, threads, self._http2_name)
        paint = wants_paint(self._error_stream(), self.settings)
        for line in start_lines(start, served(self.application), paint):
            self.log.info("%s", line)

    def _tick(self) -> None:
        assert self._loop is not None
        assert self._serving is not None
        assert self.server is not None
        # First of all the next heartbeat: nothing that follows may stop it.
        self._loop.call_later(min(_TICK_SECONDS, self.timeout / 2 or _TICK_SECONDS), self._tick)
        self.notify()
        self._set_stack_timer()
        self._serving.tick()
        self._look_at_bounds()
        self.nr = self.server.service.requests
        if self.ppid != os.getppid():
            self.log.info("Parent changed, shutting down: %s", self)
            self.alive = False
        if not self.alive:
            self._stop_soon()

    def _look_at_bounds(self) -> None:
        """Leave if the worker has grown too large or too old: in its turn, after there is a new one; or at once."""
        if self._watching is None or self._replacement is None or not self.alive:
            return
        leaving = self._watching.leaving()
        if leaving == NOW:
            self.log.error("The worker leaves at once: %s (pid: %s)", self._watching.reason, self.pid)
            self._is_quick = True
            if self.server is not None:
                self.server.hurry()
            self._stop_soon()
        elif leaving:
            self.log.info("The worker is replaced: %s (pid: %s)", self._watching.reason, self.pid)
            self._replacement.begin()

    def _on_lost_pool(self, pool: ConsumerPool) -> None:
        assert self._replacement is not None
        assert self._serving is not None
        if self.alive:
            self.log.error(
                "All %d threads of %s are stuck and requests wait: the worker is replaced (pid: %s)\n%s",
                pool.threads,
                pool.name,
                self.pid,
                self._serving.stuck.stacks(pool),
            )
            self._replacement.begin()

    def _on_most_requests(self) -> None:
        if self.alive and self._replacement is not None and not self._replacement.is_asked:
            self.log.info("Autorestarting worker after current request.")
            self._replacement.begin()

    # ---- signals; on the loop, but for handle_abort ----

    def _stop_soon(self) -> None:
        if self.alive:
            hand_over(self)  # the master makes another one, if this one will be missing
        self.alive = False
        if self.entry is not None:
            self.entry.tell(LEAVING)
        if self._reloading is not None and self._reloading.has_begun:
            self._reloading.is_noticed = True
            if self.server is not None:
                self.server.step_aside()
        if self._serving is not None:
            self._serving.begin_stopping()
            if self._replacement is not None and self._replacement.is_asked:
                self._serving.dispatcher.give_up_stuck()
        if self._stop is not None:
            self._stop.set()

    def _on_term(self) -> None:
        if self._departure is None:
            self._stop_soon()
        elif not self._waits_for_clients():
            self._departure.begin()

    def _waits_for_clients(self) -> bool:
        """Whether the worker goes on for `drain_delay`, since the whole server stops; readiness says no meanwhile."""
        delay = min(self.settings.drain_delay, drain_seconds(self.cfg.graceful_timeout))
        if not (delay and self.entry is not None and self.entry.roll.is_stopping and self.alive):
            return False
        if not self._delayed_seconds:
            self._delayed_seconds = delay
            self.log.info("The server stops in %g seconds, and accepts until then (pid: %s)", delay, self.pid)
            if self._serving is not None:
                self._serving.announce_stop()
            assert self._loop is not None
            self._loop.call_later(delay, self._stop_soon)
        return True

    def _on_quit(self) -> None:
        self._is_quick = True
        if self.server is not None:
            self.server.hurry()
        self._stop_soon()
        self.cfg.worker_int(self)

    def _on_pipe(self) -> None:
        try:
            os.read(self.PIPE[0], 512)
        except BlockingIOError:
            return
        if not self.alive:
            self._stop_soon()

    def _on_usr2(self, sig: int, frame: Any) -> None:
        """Have the log tell what the worker does. A plain handler, for a loop that is blocked."""
        if self._watching is not None:
            self._watching.dump_soon()

    def handle_abort(self, sig: int, frame: Any) -> None:
        """Tell where everything stands, and leave: the master has found the loop silent.

        A plain signal handler: one of the loop's would not run while the loop is blocked. It has one
        second before SIGKILL.
        """
        self.alive = False
        try:
            if self.server is None and self.entry is not None:
                self.entry.tell(FAILED, f"it was not ready within {self.cfg.timeout} seconds (timeout)")
            requests = "The worker was starting." if self.server is None else self.server.describe_requests()
            why = _WHY_BLOCKED if self.server is not None else _WHY_SLOW_START
            seconds = self.cfg.timeout
            self.log.critical(
                f"Worker aborted (pid: %s): {why}\n%s\n%s", self.pid, seconds, requests, describe_all_threads()
            )
        except Exception:
            traceback.print_exc()
        self._leave_stuck_threads(exit_code=1)
        if self.server is not None:  # SystemExit may end no more than the task that blocked the loop
            self._is_quick = True
            self.server.hurry()
        self.cfg.worker_abort(self)
        sys.exit(1)

    def _set_stack_timer(self) -> None:
        """Have the stacks written if no tick comes in time.

        For C code that holds the interpreter: no handler of ABRT in Python can run then.
        """
        if not self.cfg.timeout:
            return
        try:
            faulthandler.dump_traceback_later(self.cfg.timeout + _LATER_SECONDS, file=self._error_stream())
        except (AttributeError, OSError, RuntimeError, TypeError, ValueError) as error:  # no file to write to
            self.log.debug("No stacks can be written for a loop that is blocked in C: %s", error)

    def _error_stream(self) -> Any:
        """Return where the error log is written, if that is a file or a terminal, or else the standard error."""
        for handler in self.log.error_log.handlers if hasattr(self.log, "error_log") else ():
            stream = getattr(handler, "stream", None)
            if hasattr(stream, "fileno"):
                return stream
        return sys.__stderr__

    def _leave_stuck_threads(self, exit_code: int = 0) -> None:
        """Have the process end after Gunicorn's `worker_exit` hook, if a thread would hold it.

        Python joins every thread but daemons when it exits; a consumer, or a thread of the application, that never
        ends would keep the worker for ever. The hook is the last thing that Gunicorn does.
        """
        faulthandler.cancel_dump_traceback_later()
        left = [] if exit_code else threads_left(_LAST_SECONDS)
        if left:
            self.log.warning("Leaving without waiting for threads: %s", ", ".join(left))
        if not left and not exit_code:
            return
        hook = self.cfg.worker_exit

        def exit_now(server: Any, worker: Any) -> None:
            try:
                hook(server, worker)
            except Exception:
                self.log.exception("Exception in worker_exit hook")
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(exit_code)

        self.cfg.set("worker_exit", exit_now)


def drain_seconds(graceful_timeout: float) -> float:
    """Return how long to wait for what is running, in seconds.

    A little less than `graceful_timeout`, so that our report is written and the hooks are called before the
    master's SIGKILL: a tenth of it or 0.7 s, but never more than six tenths.
    """
    return graceful_timeout - min(max(0.1 * graceful_timeout, 0.7), 0.6 * graceful_timeout)


def _is_told_to(error: BaseException) -> bool:
    """Whether a worker that starts ends because it is told to."""
    return isinstance(error, KeyboardInterrupt) or (isinstance(error, SystemExit) and not error.code)


def _tune_collector() -> None:
    """Spare the cyclic garbage collector what lives as long as the worker, and what dies with its request.

    At Python's default threshold a burst of requests sets off a collection every few dozen of them, which finds
    nothing: measured 7% of a small page. An application that has set thresholds of its own keeps them.
    """
    gc.collect()
    gc.freeze()
    if gc.get_threshold()[0] in (700, 2000):  # Python's defaults, up to 3.12 and from 3.13 on
        gc.set_threshold(_COLLECT_AFTER, *gc.get_threshold()[1:])


def _nothing() -> None:
    """Ignore WINCH: it is for the master."""
