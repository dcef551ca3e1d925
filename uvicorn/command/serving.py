"""What serves one application on one loop: its bridge, its start and stop, and its connections. Knows no Gunicorn.

Gunicorn's worker and `uvicorn.Server` both use it, each with a life of its own around it:

    prepare         the pools, the frameworks' use of them, and what the application does at its start
    start           accept connections
    tick            once a second
    drain, leave    the stop in stages (`connections/server.py`), then what the application does at its end
    close           nothing of it is left: no thread that has nothing to do, no timer, no seam in a framework

Loop thread only.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from uvicorn.applications.frameworks import Frameworks
from uvicorn.applications.lifecycle import Lifecycle
from uvicorn.applications.router import Router, SingleConsumer
from uvicorn.bridge import crossing
from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.dispatcher import Dispatcher
from uvicorn.bridge.outbox import Log
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.bridge.sampler import reason_against
from uvicorn.bridge.served import RequestHooks
from uvicorn.bridge.spool import SpoolWriter
from uvicorn.bridge.stuck import StuckWatch
from uvicorn.command.attending import make_attendants
from uvicorn.command.busy import ConcurrencyLimit
from uvicorn.command.channel_layer import WorkerLayer
from uvicorn.command.serving_settings import Frame, ServingSettings
from uvicorn.command.threads import make_dispatcher
from uvicorn.connections.addresses import Peers
from uvicorn.connections.connection import HTTPConnection
from uvicorn.connections.listener import Acceptor
from uvicorn.connections.server import Server
from uvicorn.connections.service import Application, NextVersion, Service
from uvicorn.watching.alarms import Alarms
from uvicorn.wire.encoder import Encoder

if TYPE_CHECKING:
    from uvicorn.watching.health import Health
    from uvicorn.watching.watching import Shared, Watching

__all__ = ["Serving"]


class Serving:
    """What serves one application on one loop.

    Args:
        hooks: what is called before and after each consumer, or None.
        http2: what knows HTTP/2; None if it is not served.
        report: called with each exchange that has ended, for the access log; None if nobody wants it.
        on_lost_pool: all threads of a pool are stuck, and requests wait.

    Attributes:
        server: None until `start`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        application: Router | SingleConsumer,
        settings: ServingSettings,
        frame: Frame,
        peers: Peers,
        log: Log,
        *,
        hooks: RequestHooks | None = None,
        http2: NextVersion | None = None,
        report: Callable[[Any], None] | None = None,
        on_most_requests: Callable[[], None] = lambda: None,
        on_lost_pool: Callable[[ConsumerPool], None] = lambda pool: None,
    ) -> None:
        self._loop = loop
        self._application = application
        self._settings = settings
        self._frame = frame
        self._peers = peers
        self._log = log
        self._http2 = http2
        self._report = report
        self._on_most_requests = on_most_requests
        self._on_lost_pool = on_lost_pool
        self.server: Server | None = None
        self._watching: Watching | Alarms | None = None
        self._health: Health | None = None
        self.dispatcher: Final[Dispatcher] = make_dispatcher(
            loop,
            application,
            settings,
            log,
            frame.threads,
            is_given=frame.are_threads_given,
            hooks=hooks,
            is_alone=frame.is_alone,
        )
        self._frameworks: Frameworks | None = None
        if self.dispatcher.frameworks:
            self._frameworks = Frameworks(loop, self.dispatcher, log, settings.governor and not reason_against())
            self._frameworks.install()
        ids, place = settings.attending.request_id, frame.layer_place
        self.layer: Final = WorkerLayer(loop, self.dispatcher, application, settings.layer, place, log, ids)
        self.lifecycle: Final = Lifecycle(application, self.dispatcher, log, frame.lifespan, self.layer)
        self.stuck: Final = StuckWatch(self.dispatcher.pools, loop.time, log, settings.stuck_after, self._pool_is_lost)

    def listen(self, sockets: list[socket.socket], ssl_context: ssl.SSLContext | None = None) -> Server:
        """Make what accepts connections; it accepts none yet.

        Args:
            sockets: listening, non-blocking. They are closed when the server stops.
        """
        settings, frame, log = self._settings, self._frame, self._log
        headers = [(name.lower(), value) for name, value in settings.headers]
        has_server = any(name == "server" for name, _ in headers)
        limit = ConcurrencyLimit(self._application, settings.limit_concurrency) if settings.limit_concurrency else None
        application: Application = limit or self._application
        if settings.watch.health.path:
            from uvicorn.watching.health import Health  # where there is such a path

            is_trusted = getattr(self._peers, "is_trusted", lambda address: False)
            application = self._health = Health(settings.watch.health, application, is_trusted)
        outbox = self.dispatcher.outbox
        attendants = make_attendants(settings.attending, self.dispatcher.context, self._report, log)
        self.dispatcher.is_attended = attendants is not None
        service = Service(
            self._loop,
            settings.limits,
            application,
            self.dispatcher,
            outbox,
            Encoder("" if has_server else settings.server_header, headers, settings.date_header),
            SpoolWriter(outbox, frame.upload_folder),
            self._peers,
            log,
            scheme="https" if ssl_context is not None else "http",
            root_path=frame.root_path,
            most_requests=frame.most_requests,
            on_most_requests=self._on_most_requests,
            report=self._report if attendants is None else attendants.report,
            shows_errors=frame.shows_errors,
            clock=time.monotonic,
            http2=self._http2,
            attendants=attendants,
        )
        acceptor = Acceptor(
            self._loop,
            [] if settings.layer.only else sockets,
            # Not a subclass: a compiled class cannot have a base that is none.
            lambda client, server, place: cast(asyncio.Protocol, HTTPConnection(service, client, server, place)),
            max(1, frame.connections),
            service.addresses,
            log,
            ssl_context,
            settings.limits.header_timeout or 60.0,
        )
        if limit is not None:
            limit.count = lambda: acceptor.open
        self.server = Server(service, acceptor)
        self.layer.consume()
        return self.server

    def watch(self, shared: Shared, pid: int) -> Watching:
        """Begin to watch what is served: warnings, numbers, and a socket for those who ask."""
        from uvicorn.watching.watching import Watching  # under a master

        assert self.server is not None
        self._watching = watching = Watching(self.server.service, self._settings.watch, self._consumers, shared, pid)
        if self._health is not None:
            watching.serve_health(self._health)
        watching.start()
        return watching

    def warn(self) -> None:
        """Begin to warn in the log, and watch nothing else: where there is no master, whose workers are asked."""
        assert self.server is not None
        self._watching = Alarms(self.server.service, self._settings.watch)
        self._watching.start()

    def _consumers(self) -> list[Consumer]:
        return [*self._application.consumers(), *self.layer.task_consumers]

    def tick(self) -> None:
        """Do what is due once a second, while connections are accepted."""
        assert self.server is not None
        self.server.tick()
        self.layer.tick()
        self.stuck.tick()
        if self._watching is not None:
            self._watching.tick()
        if self._frameworks is not None:
            self._frameworks.look()

    def announce_stop(self) -> None:
        """Have readiness say no, while connections are accepted still."""
        if self._watching is not None and not isinstance(self._watching, Alarms):
            self._watching.announce_stop()
        elif self._health is not None:
            self._health.reasons = lambda: ["it stops"]

    def begin_stopping(self) -> None:
        """Have each response from here on say that it is the last one of its connection."""
        self.layer.begin_stopping()
        if self.server is not None:
            self.server.service.begin_stopping()

    def hurry(self) -> None:
        """Wait for nothing any more."""
        if self.server is not None:
            self.server.hurry()

    async def stop_application(self, seconds: float | None) -> None:
        """Have the application stop; after so many seconds it is not waited for."""
        self.layer.begin_stopping()
        stopping = asyncio.ensure_future(self.lifecycle.stop())
        await asyncio.wait([stopping], timeout=seconds)
        if not stopping.done():
            self._log.warning("Leaving without waiting for on_shutdown or a lifespan")
            stopping.cancel()

    def close(self) -> None:
        """Let the threads end, and leave nothing behind in the process."""
        if self.server is not None:
            self.server.close()
        else:
            self.dispatcher.close()
        if self._watching is not None:
            self._watching.stop()
            self._watching = None
        self.lifecycle.give_up()
        self.give_back()

    def give_back(self) -> None:
        """Have frameworks use their own threads again, and `run_in_pool` not find this server any more."""
        crossing.uninstall(self.dispatcher.crossing)
        self.layer.give_back()
        if self._frameworks is not None:
            self._frameworks.remove()
            self._frameworks = None

    def _pool_is_lost(self, pool: ConsumerPool) -> None:
        self._on_lost_pool(pool)
