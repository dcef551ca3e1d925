"""What an application does before its first and after its last message. Loop thread only.

In this order: the `on_startup` callables of its lists of routes and its module, then the lifespan of each ASGI
application. Stopping goes the other way round: the lifespans, the last one first, and then the `on_shutdown` callables
in their order; only what was started is stopped. Synchronous callables run in the pool, so that they may block: the
heartbeat goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Protocol

from uvicorn.applications.asgi import ASGIApplication
from uvicorn.applications.lifespan import Lifespan
from uvicorn.applications.router import Router, SingleConsumer
from uvicorn.applications.sensitive import can_lease, for_request, for_socket, uses_asgiref
from uvicorn.bridge import run_in_pool
from uvicorn.bridge.consumer import Consumer, is_async_callable, name_of
from uvicorn.bridge.dispatcher import Dispatcher
from uvicorn.bridge.outbox import Log

__all__ = ["Lifecycle"]


class Below(Protocol):
    """What applications may use while they start and stop."""

    async def start(self) -> None:
        """Begin."""

    async def stop(self) -> None:
        """End."""


class Lifecycle:
    """The start and the stop of what is served.

    Args:
        lifespan: "auto", "on" or "off": Gunicorn's `asgi_lifespan`.
        below: is started before all else, and stopped after it; None for nothing.
    """

    def __init__(
        self,
        application: Router | SingleConsumer,
        dispatcher: Dispatcher,
        log: Log,
        lifespan: str,
        below: Below | None = None,
    ) -> None:
        self._log = log
        self._below = below
        self._hooks = application.hooks
        self._lifespans: list[Lifespan] = []
        self._stops: list[Callable[[], Awaitable[Any]]] = []  # what was started, in that order
        served = _asgi_consumers(application.consumers())
        if lifespan != "off":
            self._lifespans = [Lifespan(app, log, lifespan == "on") for app in _once_each(served)]
        for consumer in served:
            adapter: Any = consumer.target
            adapter.threads = dispatcher.frameworks.get(consumer.pool or dispatcher.pool)
        if served and dispatcher.frameworks and uses_asgiref():
            self._lend_threads(served, dispatcher)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to start or stop."""
        return self._below is None and not (self._hooks.on_startup or self._hooks.on_shutdown or self._lifespans)

    async def start(self) -> None:
        """Start everything, one after the other.

        Raises: StartupError, or what an `on_startup` raises; what was started before has then been stopped.
        """
        try:
            if self._below is not None:
                await self._below.start()
                self._stops.append(self._below.stop)
            for function in self._hooks.on_startup:
                await _call(function)
            self._stops += [partial(self._call_last, function) for function in reversed(self._hooks.on_shutdown)]
            for lifespan in self._lifespans:
                await lifespan.start()
                self._stops.append(lifespan.stop)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop what was started, the last one first; what goes wrong is logged."""
        while self._stops:
            await self._stops.pop()()

    def give_up(self) -> None:
        """Wait for no lifespan that has not stopped."""
        for lifespan in self._lifespans:
            lifespan.give_up()

    async def _call_last(self, function: Callable[[], Any]) -> None:
        try:
            await _call(function)
        except Exception:
            self._log.error("Error in on_shutdown %s", name_of(function), exc_info=True)

    def _lend_threads(self, served: list[Consumer], dispatcher: Dispatcher) -> None:
        if not can_lease():
            self._log.warning(
                "This asgiref takes no threads from others: synchronous code of ASGI applications runs in threads of "
                "its own, without a limit"
            )
            return
        shared = dispatcher.shared
        assert shared is not None
        for consumer in served:
            adapter: Any = consumer.target
            adapter.enters = partial(for_request, adapter.threads, dispatcher.on_refused)
            adapter.enters_socket = partial(for_socket, adapter.threads, shared.aside)


def _asgi_consumers(consumers: Iterable[Consumer]) -> list[Consumer]:
    return [consumer for consumer in consumers if isinstance(consumer.target, ASGIApplication)]


def _once_each(consumers: Iterable[Consumer]) -> list[ASGIApplication]:
    """Return each application once, however often it is mounted; its adapters share one state."""
    found: dict[int, ASGIApplication] = {}
    for consumer in consumers:
        adapter = consumer.target
        assert isinstance(adapter, ASGIApplication)
        adapter.state = found.setdefault(id(adapter.application), adapter).state
    return list(found.values())


async def _call(function: Callable[[], Any]) -> None:
    if is_async_callable(function):
        await function()
    else:
        await run_in_pool(function)
