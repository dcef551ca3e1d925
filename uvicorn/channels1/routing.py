"""Routes in the shapes of Channels 1: names and patterns in bytes, lists of names, a dict as a list of routes.

A pattern matches from the start of a value, and an include takes off what it matched, for any key of the message. How
the server finds its consumers among them: `entries.py`.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from uvicorn.applications.mistakes import place_of_call
from uvicorn.bridge.consumer import name_of
from uvicorn.channels1.names import NAMES, is_name, text_of
from uvicorn.errors import ConsumerError

__all__ = [
    "Include",
    "Route",
    "RouteClass",
    "Router",
    "RoutingError",
    "connect_consumer",
    "include",
    "null_consumer",
    "route",
    "route_class",
]

Found = tuple[Callable[..., Any], dict[str, Any]]


class RoutingError(ConsumerError, ValueError):
    """A route cannot be made; the text begins with file and line of the call."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{place_of_call()}: {text}")


class Route:
    """One consumer for the messages of some channels that match.

    Args:
        channels: the name of a channel, or several.
        consumer: a callable that takes the message and the named groups, or its dotted name.
        filters: key of the message -> regular expression.

    Attributes:
        place: file and line of the call that made it.

    Raises: RoutingError; what the own import of a named consumer raises.
    """

    def __init__(self, channels: Any, consumer: Any, **filters: Any) -> None:
        self.place = place_of_call()
        given = [channels] if isinstance(channels, (str, bytes)) else channels
        self.channels: list[str] = [_checked_name(text_of(channel)) for channel in given]
        self.consumer = _imported(consumer)
        if not callable(self.consumer):
            raise RoutingError(f"{self.consumer!r} is no consumer: it cannot be called")
        self.filters = {key: _compiled(key, pattern) for key, pattern in filters.items()}
        for key, pattern in self.filters.items():
            if pattern.groups != len(pattern.groupindex):
                raise RoutingError(
                    f"the pattern {pattern.pattern!r} for {key} has a group without a name: write (?P<name>...), or "
                    "(?:...) for what the consumer does not need"
                )

    def match(self, message: Any) -> Found | None:
        """Return the consumer and the named groups, or None."""
        if message.channel.name not in self.channels:
            return None
        groups: dict[str, Any] = {}
        for key, pattern in self.filters.items():
            found = _match(pattern, message, key)
            if found is None:
                return None
            groups.update(found.groupdict())
        return self.consumer, groups

    def channel_names(self) -> set[str]:
        """Return the names of the channels."""
        return set(self.channels)

    def __str__(self) -> str:
        patterns = "".join(f", {key}={pattern.pattern}" for key, pattern in self.filters.items())
        return f"{'/'.join(self.channels)}{patterns} -> {name_of(self.consumer)}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"


class RouteClass(Route):
    """A route to a class-based consumer, for the channels that it names itself."""

    def __init__(self, consumer: Any, **filters: Any) -> None:
        made = _imported(consumer)
        names = getattr(made, "channel_names", None)
        if not callable(names):
            raise RoutingError(f"{made!r} has no channel_names(): give a class such as BaseConsumer, or use route(...)")
        super().__init__(sorted(names()), made, **filters)


class Include:
    """Another list of routes for the messages that match; it sees the values behind what was matched.

    Args:
        routing: a list of routes, a dict of channel -> consumer, or the dotted name of one.
        prefixes: key of the message -> regular expression.
    """

    def __init__(self, routing: Any, **prefixes: Any) -> None:
        self.routing = Router.resolve_routing(routing)
        self.prefixes = {key: _compiled(key, pattern) for key, pattern in prefixes.items()}

    def match(self, message: Any) -> Found | None:
        """Return the consumer and the named groups of the first entry that matches, or None."""
        groups: dict[str, Any] = {}
        rest: dict[str, str] = {}
        for key, pattern in self.prefixes.items():
            found = _match(pattern, message, key)
            if found is None:
                return None
            groups.update(found.groupdict())
            rest[key] = found.string[found.end() :]
        if rest:
            message = message.replaced(**rest)
        for entry in self.routing:
            matched = entry.match(message)
            if matched is not None:
                return matched[0], {**groups, **matched[1]}
        return None

    def channel_names(self) -> set[str]:
        """Return the names of the channels of all entries."""
        return {name for entry in self.routing for name in entry.channel_names()}

    def __repr__(self) -> str:
        return f"<Include of {len(self.routing)} entries>"


class Router:
    """A list of routes: the first that matches wins.

    Attributes:
        channels: the names of the channels that there are routes for.
    """

    def __init__(self, routing: Any) -> None:
        self.root = Include(routing)
        self.channels = self.root.channel_names()

    def add_route(self, route: Any) -> None:
        """Put a route at the end."""
        self.root.routing.append(route)
        self.channels = self.root.channel_names()

    def match(self, message: Any) -> Found | None:
        """Return the consumer of a message and the named groups, or None."""
        return self.root.match(message)

    def check_default(self, http_consumer: Any = None) -> None:
        """Put behind all others what Django does with messages that have no route.

        Requests go to Django's views, sockets are accepted, their other messages dropped.
        """
        if http_consumer is None:
            from uvicorn.channels1.handler import ViewConsumer

            http_consumer = ViewConsumer()
        self.add_route(Route("http.request", http_consumer))
        self.add_route(Route("websocket.connect", connect_consumer))
        self.add_route(Route(["websocket.receive", "websocket.disconnect"], null_consumer))

    @classmethod
    def resolve_routing(cls, routing: Any) -> list[Any]:
        """Return a list of entries for what stands for one.

        Raises: RoutingError.
        """
        routing = _imported(text_of(routing))
        if isinstance(routing, Mapping):
            return [Route(channel, consumer) for channel, consumer in routing.items()]
        if not isinstance(routing, Iterable):
            raise RoutingError(f"{routing!r} is no list of routes")
        entries = list(routing)
        for entry in entries:
            if not (hasattr(entry, "match") and hasattr(entry, "channel_names")):
                raise RoutingError(
                    f"{entry!r} cannot stand in an include of Channels 1: make it with channels.routing.route(...) or "
                    "include(...), or put it into the outermost list"
                )
        return entries

    @classmethod
    def normalise_re_arg(cls, value: Any) -> Any:
        """Decode a pattern, or a value, that is in bytes."""
        return text_of(value)


def null_consumer(*args: Any, **kwargs: Any) -> None:
    """Do nothing."""


def connect_consumer(message: Any, *args: Any, **kwargs: Any) -> None:
    """Accept a socket."""
    message.reply_channel.send({"accept": True})


route = Route
route_class = RouteClass
include = Include


def _checked_name(name: Any) -> str:
    if not is_name(name):
        raise RoutingError(f"{name!r} is no name of a channel: {NAMES}")
    return str(name)


def _compiled(key: str, pattern: Any) -> re.Pattern[str]:
    try:
        return re.compile(text_of(pattern))
    except (re.error, TypeError, UnicodeDecodeError) as error:
        raise RoutingError(f"{pattern!r} for {key} is no regular expression: {error}") from None


def _match(pattern: re.Pattern[str], message: Any, key: str) -> re.Match[str] | None:
    value = message.get(key)
    if value is None:
        return None
    if isinstance(value, (bytes, bytearray)):
        value = value.decode("latin-1")
    return pattern.match(value if isinstance(value, str) else str(value))


def _imported(named: Any) -> Any:
    """Import what a dotted name names; return anything else as it is."""
    if not isinstance(named, str):
        return named
    module_name, _, attribute = named.rpartition(".")
    if not module_name:
        raise RoutingError(f"{named!r} is no dotted name: write 'package.module.name'")
    module = importlib.import_module(module_name)
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise RoutingError(f"{named!r}: there is no {attribute!r} in {module_name!r}") from None
