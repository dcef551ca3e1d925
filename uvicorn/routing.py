"""Which consumer gets a message.

An application is one consumer, or a list of routes:

    channel_routing = [
        route("http.request", reports, path=r"^/reports/"),
        route("http.request", home),
    ]

The first route that matches wins; no match is 404. Patterns are compiled once, and searched for in the
decoded path, as Channels 1 did: begin a pattern with "^" to match from the start.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from uvicorn.bridge.consumer import Consumer
from uvicorn.errors import ConsumerError

__all__ = ["Route", "Router", "as_application", "route"]

_CHANNELS: Final = (
    "http.request",
    "http.disconnect",
    "websocket.connect",
    "websocket.receive",
    "websocket.disconnect",
)


class Route:
    """Send the messages of one channel, and of paths that match, to one consumer.

    Made by `route`.
    """

    __slots__ = ("channel", "consumer", "pattern")

    def __init__(self, channel: str, consumer: Consumer, pattern: re.Pattern[str] | None) -> None:
        self.channel = channel
        self.consumer = consumer
        self.pattern = pattern

    def __repr__(self) -> str:
        path = f", path={self.pattern.pattern!r}" if self.pattern is not None else ""
        return f"<Route {self.channel} -> {self.consumer.name}{path}>"


def route(channel: str, consumer: Callable[[Any], Any], path: str | None = None, body: str | None = None) -> Route:
    """Make a route.

    Args:
        channel: "http.request", "http.disconnect", "websocket.connect", "websocket.receive" or "websocket.disconnect".
        consumer: a callable that takes one message; a coroutine function runs on the loop.
        path: a regular expression searched for in the decoded path; None for every path.
        body: "stream" for a synchronous consumer that wants a large body as it comes; "collect" for one that
            wants it complete, the default.

    Raises: ConsumerError that says which route is wrong, and why.
    Spec: ASGI draft (django/channels cd34f65); the terms are those of Channels 1 routing.
    """
    if channel not in _CHANNELS:
        raise ConsumerError(f"no messages come from {channel!r}; a route can be for {', '.join(_CHANNELS)}")
    if isinstance(consumer, (Router, SingleConsumer, Route)):
        raise ConsumerError("a route leads to one consumer: put the routes of a Router into the same list instead")
    try:
        pattern = re.compile(path) if path is not None else None
    except (re.error, TypeError) as error:
        raise ConsumerError(f"path {path!r} of a route is not a regular expression: {error}") from None
    return Route(channel, Consumer(consumer, body), pattern)


class Router:
    """Find consumers in a list of routes; the first that matches wins.

    Raises: ConsumerError for an entry that is not a route, or if there is none.
    """

    only: Consumer | None = None

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        for number, entry in enumerate(self.routes):
            if not isinstance(entry, Route):
                raise ConsumerError(f"entry {number} of the list of routes is {entry!r}; make it with route(...)")
        if not self.routes:
            raise ConsumerError("the list of routes is empty")
        self._by_channel = {
            channel: [entry for entry in self.routes if entry.channel == channel] for channel in _CHANNELS
        }

    def __call__(self, message: Any) -> None:
        """Be callable, which is what Gunicorn asks of an application that it loads itself."""
        raise ConsumerError("a Router is an application of its own: it cannot be called, nor be a consumer in a route")

    def find(self, channel: str, path: str) -> Consumer | None:
        """Return the consumer of the first route that matches, or None."""
        for entry in self._by_channel.get(channel, ()):
            if entry.pattern is None or entry.pattern.search(path):
                return entry.consumer
        return None

    def consumers(self) -> list[Consumer]:
        """Return the consumers of all routes."""
        return [entry.consumer for entry in self.routes]


class SingleConsumer:
    """Send every request to one consumer."""

    def __init__(self, consumer: Consumer) -> None:
        self.only: Consumer | None = consumer
        self._consumer = consumer

    def find(self, channel: str, path: str) -> Consumer | None:
        """Return the consumer, for a request."""
        return self._consumer if channel == "http.request" else None

    def consumers(self) -> list[Consumer]:
        """Return the one consumer."""
        return [self._consumer]


def as_application(loaded: Any) -> Router | SingleConsumer:
    """Make an application of what was loaded: a consumer, a list of routes, or a Router.

    Raises: ConsumerError that says what is wrong and what is allowed.
    """
    if isinstance(loaded, (Router, SingleConsumer)):
        return loaded
    if isinstance(loaded, (list, tuple)):
        return Router(loaded)
    if isinstance(loaded, Route):
        return Router([loaded])
    return SingleConsumer(Consumer(loaded))
