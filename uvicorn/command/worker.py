"""ASGIWorker: Gunicorn on one side, the loop on the other. Here is the order of its life; each part is elsewhere.

    setup            in the master: systemd is told nothing yet                   `systemd.py`
    check_config     in the master: settings, log, Gunicorn's own master          `before_fork.py`
    __init__         in the master, before the fork: its place among the workers  `share.py`, `roll.py`
    init_process     in the child: the loop; then Gunicorn calls all that follows
    load_wsgi        the application is loaded, served and started                `worker_application.py`, `serving.py`
                     or it cannot be                                              `failed_start.py`
    run              accept, and once a second `_tick`, until it leaves           `leaving.py`
                     the end of the loop, and of the process                      `loop_end.py`, `process_end.py`
                     told to leave meanwhile                                      `worker_signals.py`
    handle_abort     the loop was silent for too long                             `blocked.py`

Before the fork there is a half-built object and nothing else; loop, threads and locks are made in the child.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

from gunicorn.errors import AppImportError
from gunicorn.workers.base import Worker

from uvicorn.applications.router import Router, SingleConsumer
from uvicorn.command import known_settings as _known_settings  # noqa: F401  # registers them with Gunicorn
from uvicorn.command.balance import balance_for
from uvicorn.command.before_fork import check_after_reload, check_and_prepare
from uvicorn.command.blocked import set_stack_timer
from uvicorn.command.failed_start import give_up, is_told_to, others_serve, refuse
from uvicorn.command.holders import have_holders_named
from uvicorn.command.http2 import alpn_protocols, make_http2
from uvicorn.command.interpreter import tune_collector
from uvicorn.command.layer_place import make_place
from uvicorn.command.leaving import Leaving
from uvicorn.command.legacy import prepare, with_layer
from uvicorn.command.log_guard import guard_logs
from uvicorn.command.log_presets import prepare_log
from uvicorn.command.loop_end import close_generators, end_tasks, run_until_done
from uvicorn.command.loops import loop_factory
from uvicorn.command.process_end import end_despite_threads
from uvicorn.command.replacement import age_for_master, wake_master
from uvicorn.command.roll import LEAVING, READY, Entry
from uvicorn.command.serving import Serving
from uvicorn.command.settings import Settings, read
from uvicorn.command.share import enter, share_for
from uvicorn.command.start_report import report_first, report_next, start_of
from uvicorn.command.systemd import hold_back
from uvicorn.command.tls import make_ssl_context
from uvicorn.command.worker_application import load, make_serving, start
from uvicorn.command.worker_signals import end_blocked, handle_signals
from uvicorn.connections.server import Server
from uvicorn.watching.watching import Watching

if TYPE_CHECKING:
    from uvicorn.command.reloading import Reloading

__all__ = ["ASGIWorker"]

_TICK_SECONDS: Final = 1.0


class ASGIWorker(Worker):  # type: ignore[misc]  # Gunicorn has no types
    """A Gunicorn worker that serves message consumers: `gunicorn -k uvicorn.ASGIWorker app:consumer`."""

    generation = 0  # which reload has made it; for the command's master
    tells_when_ready = True  # on the roll
    seen_state: int | None = None  # while the master looks (`replacement.one_look`)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.entry: Entry | None = None
        super().__init__(*args, **kwargs)
        self.entry = enter(self, self._age)
        self.server: Server | None = None
        self.application: Router | SingleConsumer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._serving: Serving | None = None
        self._is_loading = False
        self._leaving: Leaving | None = None
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
    def setup(cls) -> None:
        """Keep Gunicorn from telling systemd what is not true yet, and have it name who has its port.

        In the master, when it has found this class: before it listens.
        """
        hold_back(os.environ)
        have_holders_named()

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse settings that we cannot serve, name those without effect. In the master. Raises: RuntimeError."""
        check_and_prepare(cfg, log)

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
            if self.booted or not others_serve(self.entry):
                raise
            self.log.exception("Exception in worker process")
            give_up(self, f"{type(error).__name__}: {error}")

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
            from uvicorn.command.reloading import Reloading  # in development only

            self._reloading = Reloading(self, self.settings)
            self.reloader = self._reloading.reloader  # in place of Gunicorn's
        try:
            self._is_loading = True
            if not self.alive:
                sys.exit(0)  # TERM has come since `init_signals`: the import would be waited for
            prepare(self.cfg)
            self.application = load(self.app, self.cfg, self.settings.interface)
            self._is_loading = False
            if not self.alive:
                sys.exit(0)  # the application has caught the SystemExit of `handle_exit`
            self.settings = with_layer(self.settings, self.cfg)
            if self._reloading is not None:
                self._reloading.is_loaded()
            self._prepare(self.application)
        except BaseException as error:
            self._is_loading = False
            if is_told_to(error):
                end_despite_threads(self.cfg, self.log)
                raise
            if self._reloading is None:
                refuse(self, error)
            self._serve_failure(self._reloading, error)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """TERM has come before the loop runs: an import is not waited for, nobody needs it any more.

        Raises: SystemExit(0).
        """
        self.alive = False
        if self.entry is not None:
            self.entry.tell(LEAVING)
        if self._is_loading:
            sys.exit(0)

    def _prepare(self, application: Router | SingleConsumer) -> None:
        """Make all that serves the application, and have it start.

        Raises: what an `on_startup` raises, StartupError; SystemExit(0) if the worker is told to stop meanwhile.
        """
        assert self._loop is not None
        loop, engine = self._loop, self.settings.http2_engine
        tune_collector()
        check_after_reload(self.cfg, engine, self.log)
        self.ssl_context = make_ssl_context(self.cfg, alpn_protocols(self.cfg, engine))
        http2, self._http2_name = make_http2(self.cfg, engine, self.settings.limits)
        leaving = self._leaving = Leaving(self, self.entry, loop, self.settings.drain_delay, self._reloading)
        self._serving = make_serving(self, loop, application, self.settings, http2, leaving, self._place)
        leaving.serving = self._serving
        start(self, loop, self._serving, self._beat_seconds)

    def _serve_failure(self, reloading: Reloading, error: BaseException) -> None:
        """Tell each client what went wrong, until a file changes."""
        from uvicorn.applications.failures import failing_application, failure_text

        text = failure_text(error)
        self.log.error("The application cannot be served; waiting for a change\n%s", text)
        reloading.has_failed(error)
        reloading.is_loaded()
        self.application = failing_application(text)
        self._prepare(self.application)

    def run(self) -> None:
        """Serve until told to stop. Called by Gunicorn."""
        assert self._loop is not None
        assert self._serving is not None
        assert self._leaving is not None
        loop, serving, leaving = self._loop, self._serving, self._leaving
        try:
            run_until_done(loop, self._serve(loop, serving, leaving), leaving.on_exit)
            loop.run_until_complete(end_tasks(loop, self.log))
            loop.run_until_complete(close_generators(loop))
        finally:
            serving.give_back()
            asyncio.set_event_loop(None)
            loop.close()
            end_despite_threads(self.cfg, self.log)

    async def _serve(self, loop: asyncio.AbstractEventLoop, serving: Serving, leaving: Leaving) -> None:
        if self.settings.switch_interval:
            sys.setswitchinterval(self.settings.switch_interval)
        handle_signals(self, loop, leaving)
        self.server = serving.listen([listener.sock for listener in self.sockets], self.ssl_context)
        self.server.take_turns(balance_for(self.entry, self.cfg, serving.dispatcher))
        self.server.start()
        self._watching = serving.watch(self._shared, self.pid)
        self._report_start(serving)
        self._tick(loop, serving, leaving, self._watching)
        if self.entry is not None and self.alive:
            self.entry.tell(READY)  # old ones may leave
        wake_master(self)
        await leaving.has_begun.wait()
        await leaving.stop_serving(serving)
        for listener in self.sockets:
            listener.close()

    def _report_start(self, serving: Serving) -> None:
        """Say what is served; the first worker does it at length."""
        assert self.application is not None
        if self._age > 1:
            report_next(self.log, self.pid, self._http2_name)
            return
        addresses, threads = [str(listener) for listener in self.sockets], serving.dispatcher.pool.threads
        first = start_of(addresses, self.cfg, self.settings, self.cfg.workers, threads, self._http2_name)
        report_first(self.log, first, self.application, self.settings)

    @property
    def _beat_seconds(self) -> float:
        """From one sign of life for the master to the next."""
        return min(_TICK_SECONDS, self.timeout / 2 or _TICK_SECONDS)

    def _tick(self, loop: asyncio.AbstractEventLoop, serving: Serving, leaving: Leaving, watching: Watching) -> None:
        # First of all the next heartbeat: nothing that follows may stop it.
        loop.call_later(self._beat_seconds, self._tick, loop, serving, leaving, watching)
        self.notify()
        set_stack_timer(self.cfg.timeout, self.log)
        serving.tick()
        leaving.look_at_bounds(watching)
        if self.server is not None:
            self.nr = self.server.service.requests
        if self.ppid != os.getppid():
            self.log.info("Parent changed, shutting down: %s", self)
            self.alive = False
        if not self.alive:
            leaving.begin()

    # ---- signals that are plain handlers; those of the loop are in `worker_signals.py` ----

    def _on_usr2(self, sig: int, frame: Any) -> None:
        """Have the log tell what the worker does. A plain handler, for a loop that is blocked."""
        if self._watching is not None:
            self._watching.dump_soon()

    def handle_abort(self, sig: int, frame: Any) -> None:
        """Tell where everything stands, and leave: the master has found the loop silent.

        A plain handler: one of the loop's would not run while that is blocked. It has one second before SIGKILL.
        """
        self.alive = False
        end_blocked(self, self._leaving)
