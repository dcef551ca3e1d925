"""The lifespan of an ASGI application: one task from before the first request until after the last one.

An application that raises before it has answered `lifespan.startup` is taken not to know the protocol (`auto`); that
is said at level `debug`. One that answers `lifespan.startup.failed` stops the worker.

Loop thread only. Spec: ASGI 3, "Lifespan Protocol" 2.0.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any, Final

from uvicorn.applications.asgi import ASGIApplication
from uvicorn.bridge.outbox import Log
from uvicorn.bridge.work import Work, current_work
from uvicorn.errors import StartupError

__all__ = ["Lifespan"]

_SCOPE: Final = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}}


class Lifespan:
    """The lifespan of one ASGI application.

    Args:
        is_required: an application that does not know the protocol is a failure (`asgi_lifespan = on`).
    """

    def __init__(self, application: ASGIApplication, log: Log, is_required: bool) -> None:
        self._application = application
        self._log = log
        self._is_required = is_required
        self._events: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._started: asyncio.Future[None] | None = None
        self._stopped: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Wait until the application has started.

        Raises: StartupError if it says that it cannot, or does not answer and must. Cancellation: cancels its task.
        """
        loop = asyncio.get_running_loop()
        self._started, self._stopped = loop.create_future(), loop.create_future()
        self._events.put_nowait({"type": "lifespan.startup"})
        self._task = loop.create_task(self._run(), name="uvicorn-lifespan")
        try:
            await self._started
        except asyncio.CancelledError:
            self.give_up()
            raise

    async def stop(self) -> None:
        """Wait until the application has stopped; what goes wrong is logged."""
        if self._task is None or self._task.done():
            return
        assert self._stopped is not None
        self._events.put_nowait({"type": "lifespan.shutdown"})
        try:
            await self._stopped
            await asyncio.wait([self._task], timeout=1.0)  # its last lines, after its last event
        finally:
            self.give_up()

    def give_up(self) -> None:
        """Cancel what has not stopped."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        assert self._started is not None
        assert self._stopped is not None
        if self._application.threads is not None:
            current_work.set(Work(self._application.threads, is_outside=True))
        scope = {**_SCOPE, "asgi": {**_SCOPE["asgi"]}, "state": self._application.state}  # type: ignore[dict-item]
        try:
            await self._application.call(scope, self._events.get, self._send)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._on_ended(error)
            if not isinstance(error, Exception):
                raise
        else:
            self._on_ended(None)
        finally:
            for future in (self._started, self._stopped):
                if not future.done():
                    future.set_result(None)

    def _on_ended(self, error: BaseException | None) -> None:
        """The application has returned, or raised."""
        assert self._started is not None
        assert self._stopped is not None
        name = f"{self._application.__module__}.{self._application.__qualname__}"
        if not self._started.done():
            if self._is_required:
                failure = StartupError(f"{name} did not answer lifespan.startup, and asgi_lifespan is 'on'")
                failure.__cause__ = error
                self._started.set_exception(failure)
            else:
                self._log.debug("%s has no lifespan: %r", name, error)
        elif error is not None and not self._started.cancelled() and self._started.exception() is None:
            self._log.error("Error in the lifespan of %s", name, exc_info=error)

    async def _send(self, event: MutableMapping[str, Any]) -> None:
        assert self._started is not None
        assert self._stopped is not None
        kind = event["type"]
        name = f"{self._application.__module__}.{self._application.__qualname__}"
        if kind == "lifespan.startup.complete":
            _settle(self._started)
        elif kind == "lifespan.startup.failed":
            if not self._started.done():
                self._started.set_exception(
                    StartupError(f"the lifespan of {name} failed to start: {event.get('message', '')}")
                )
        elif kind == "lifespan.shutdown.complete":
            _settle(self._stopped)
        elif kind == "lifespan.shutdown.failed":
            self._log.error("The lifespan of %s failed to shut down: %s", name, event.get("message", ""))
            _settle(self._stopped)
        else:
            raise ValueError(f"an application cannot send {kind!r} in its lifespan")


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
