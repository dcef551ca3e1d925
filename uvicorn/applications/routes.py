"""The entries of a list of routes: `Route`, `Include`, `Mount`. Made by the functions of `routing.py`.

Each finds the consumer of a message, or None, and can be copied with other consumers: that is how a mount changes what
is below it once, when the list is made, instead of at each request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from uvicorn.applications.environ import below
from uvicorn.applications.patterns import Filters, first_segment, match_filters
from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.tally import Tally
from uvicorn.layers.names import is_background

__all__ = ["Entry", "Finder", "Include", "LifecycleHooks", "Mount", "Route", "under"]

Change: TypeAlias = "Callable[[Consumer], Consumer]"
_NO_GROUPS: Final[Mapping[str, str]] = {}


class LifecycleHooks(NamedTuple):
    """What an application wants called before its first and after its last message: callables of either kind."""

    on_startup: tuple[Callable[[], Any], ...] = ()
    on_shutdown: tuple[Callable[[], Any], ...] = ()

    def joined(self, other: LifecycleHooks) -> LifecycleHooks:
        """Return both, each callable once."""
        return LifecycleHooks(*(tuple(dict.fromkeys(one + two)) for one, two in zip(self, other, strict=True)))


class Finder(Protocol):
    """What an include or a mount leads to: a `Router` or a `SingleConsumer`."""

    hooks: LifecycleHooks
    by_content: bool  # each message of a socket is looked up by what it says

    def find_below(self, channel: str, path: str, message: Mapping[str, Any]) -> Consumer | None:
        """Return the consumer for a path below the mount point."""

    def consumers(self) -> list[Consumer]:
        """Return all consumers."""

    def moved(self, change: Change) -> Finder:
        """Return a copy with other consumers."""

    def pools_named(self) -> list[tuple[str, int | None]]:
        """Return the pools that are named: name and threads, or None where the size is said elsewhere."""

    def channels(self) -> dict[str, list[Consumer]]:
        """Return the channels of the application's own that routes are for, each with its consumers."""


class _Filtered:
    """What matches the key `path` and others of a message."""

    __slots__ = ("_others", "filters", "pattern")

    def __init__(self, filters: Filters) -> None:
        self.filters = filters
        self.pattern = filters.get("path")
        self._others = {key: pattern for key, pattern in filters.items() if key != "path"}

    def match(self, path: str, message: Mapping[str, Any]) -> tuple[int, Mapping[str, str]] | None:
        """Return where the match of the path ends, and the named groups; None if the message does not match."""
        end, groups = 0, _NO_GROUPS
        if self.pattern is not None:
            found = self.pattern.search(path)
            if found is None:
                return None
            end = found.end()
            if self.pattern.groupindex:
                groups = given(found.groupdict())
        if self._others:
            more = match_filters(self._others, message)
            if more is None:
                return None
            groups = {**groups, **more}
        return end, groups

    @property
    def shown(self) -> str:
        """The patterns, as they are written."""
        return "".join(f", {key}={pattern.pattern!r}" for key, pattern in self.filters.items())


class Route(_Filtered):
    """One consumer for the messages of one channel that match.

    Attributes:
        pool, threads: the pool of threads that the consumer runs in, and its size if this route says it.
    """

    __slots__ = ("channel", "consumer", "threads")

    def __init__(self, channel: str, consumer: Consumer, filters: Filters, threads: int | None = None) -> None:
        super().__init__(filters)
        self.channel = channel
        self.consumer = consumer
        self.threads = threads

    def __repr__(self) -> str:
        return f"<Route {self.channel} -> {self.consumer.name}{self.shown}>"

    def find_in(self, channel: str, path: str, message: Mapping[str, Any]) -> Consumer | None:
        """Return the consumer, with the named groups bound to it; None if the message does not match."""
        found = self.match(path, message)
        if found is None:
            return None
        _, groups = found
        return bound(self.consumer, groups) if groups else self.consumer

    def moved(self, change: Change) -> Route:
        """Return a copy with another consumer."""
        return Route(self.channel, change(self.consumer), self.filters, self.threads)

    @property
    def segment(self) -> str | None:
        """The first segment of every path that matches, if that is certain."""
        return first_segment(self.pattern) if self.pattern is not None else None


class Include(_Filtered):
    """Another list of routes for the messages that match; their path is what follows the match."""

    __slots__ = ("router",)

    channel = None
    segment = None

    def __init__(self, router: Finder, filters: Filters) -> None:
        super().__init__(filters)
        self.router = router

    def __repr__(self) -> str:
        return f"<Include of {len(self.router.consumers())} consumers{self.shown}>"

    def find_in(self, channel: str, path: str, message: Mapping[str, Any]) -> Consumer | None:
        """Return what the included routes find, with the named groups bound to it."""
        found = self.match(path, message)
        if found is None:
            return None
        end, groups = found
        consumer = self.router.find_below(channel, path[end:], message)
        return bound(consumer, groups) if groups and consumer is not None else consumer

    def moved(self, change: Change) -> Include:
        """Return a copy with other consumers."""
        return Include(self.router.moved(change), self.filters)


class Mount:
    """One application for all that is below a prefix.

    Args:
        prefix: "/name" or longer, without "/" at its end; "" for everything.
        application: its consumers know of the prefix already (`under`).
        pools: name -> threads, or None where the size is said elsewhere.
        slash: the consumer of requests for the prefix without "/" behind it; None for the application's.
    """

    __slots__ = ("application", "pools", "prefix", "slash")

    channel = None

    def __init__(
        self, prefix: str, application: Finder, pools: Mapping[str, int | None], slash: Consumer | None = None
    ) -> None:
        self.prefix = prefix
        self.application = application
        self.pools = pools
        self.slash = slash

    def __repr__(self) -> str:
        names = ", ".join(consumer.name for consumer in self.application.consumers())
        return f"<Mount {self.prefix or '/'} -> {names}>"

    def find_in(self, channel: str, path: str, message: Mapping[str, Any]) -> Consumer | None:
        """Return what the application finds below the prefix; messages of its own channels have no path."""
        if not below(path, self.prefix):
            return self.application.find_below(channel, path, message) if is_background(channel) else None
        rest = path[len(self.prefix) :]
        if not rest and self.slash is not None and channel == "http.request":
            return self.slash
        return self.application.find_below(channel, rest, message)

    def moved(self, change: Change) -> Mount:
        """Return a copy with other consumers."""
        return Mount(self.prefix, self.application.moved(change), self.pools, self.slash)

    @property
    def segment(self) -> str | None:
        """The first segment of every path below the prefix."""
        return self.prefix.split("/", 2)[1] if self.prefix else None


Entry: TypeAlias = "Route | Include | Mount"


def under(prefix: str, consumer: Consumer) -> Consumer:
    """Return a consumer whose messages have their mount point in `root_path`."""
    if not prefix:
        return consumer
    call = partial(_call_under, consumer.call, prefix)
    return consumer.replaced(call=call, mount=prefix + consumer.mount, tally=Tally())


def bound(consumer: Consumer, groups: Mapping[str, str]) -> Consumer:
    """Return a consumer that gets named groups as keyword arguments."""
    return consumer.replaced(call=partial(consumer.call, **groups))


def given(groups: Mapping[str, str | None]) -> dict[str, str]:
    """Leave out the groups that took no part in the match: the consumer's own defaults hold."""
    return {name: text for name, text in groups.items() if text is not None}


def _call_under(call: Callable[..., Any], prefix: str, message: Any, **groups: str) -> Any:
    if "root_path" not in message:  # of a socket that is open: its path says where it is
        return call(message, **groups)
    root = message["root_path"].rstrip("/")
    if root and not below(message["path"], root):  # a proxy has taken it off; below a mount, `path` has all of it
        message["path"] = root + message["path"]
        message["raw_path"] = root.encode("utf-8", "surrogateescape") + message["raw_path"]
    message["root_path"] = root + prefix
    return call(message, **groups)
