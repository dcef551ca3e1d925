"""Our server in a thread of this process, for test suites that bring their own applications.

It is made by the worker's own code, from Gunicorn's defaults; there is no master, and nobody sends it signals.
"""

import asyncio
import os
import socket
import threading

import uvloop
from gunicorn.config import Config
from gunicorn.glogging import Logger

from uvicorn import wsgi
from uvicorn.applications.mounting import as_application
from uvicorn.command.leaving import Leaving
from uvicorn.command.settings import Settings
from uvicorn.command.worker import ASGIWorker
from uvicorn.command.worker_application import make_serving

THREADS = 8
PATIENCE = 20.0


class Listener:
    """What the worker asks of one of Gunicorn's listeners."""

    def __init__(self, sock):
        self.sock = sock


class RunningServer:
    """Serve a WSGI application at a socket that listens, or at a free port of 127.0.0.1."""

    def __init__(self, application, sock=None):
        self.socket = sock or socket.create_server(("127.0.0.1", 0))
        self.address = self.socket.getsockname()
        self._application = as_application(wsgi(application))
        self._is_ready = threading.Event()
        self._loop = uvloop.new_event_loop()
        self._stop = None
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)

    def start(self):
        self._thread.start()
        assert self._is_ready.wait(PATIENCE), "the server does not start"
        return self

    def stop(self):
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(PATIENCE)
        self.socket.close()

    def _run(self):
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self):
        cfg = Config()
        cfg.set("threads", THREADS)
        cfg.set("timeout", 0)
        cfg.set("loglevel", "critical")  # the suites let applications fail on purpose
        worker = ASGIWorker(0, os.getpid(), [Listener(self.socket)], None, 0, cfg, Logger(cfg))
        leaving = Leaving(worker, None, self._loop, 0.0, None)
        serving = make_serving(worker, self._loop, self._application, Settings.from_config(cfg), None, leaving, None)
        server = serving.listen([self.socket])
        self._stop = asyncio.Event()
        server.start()
        self._is_ready.set()
        try:
            while not self._stop.is_set():
                with_timeout = asyncio.wait_for(self._stop.wait(), 1.0)
                try:
                    await with_timeout
                except asyncio.TimeoutError:
                    server.tick()
            await server.drain(0.5)
        finally:
            serving.close()
            worker.tmp.close()
