"""What is served: `Router`, a list of routes, or `SingleConsumer`. They find the consumer of a message.

A Router looks at few of its entries: one that begins with a literal segment, such as "^/reports/", is tried only for
paths that begin with it. So 500 of them cost as much as one. All others are tried in their order.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from uvicorn.applications.asgi import ASGIApplication
from uvicorn.applications.asgi_socket import ASGISockets
from uvicorn.applications.environ import below
from uvicorn.applications.mistakes import Mistaken, Mistakes
from uvicorn.applications.routes import Entry, Finder, Include, LifecycleHooks, Mount, Route
from uvicorn.applications.shapes import entry_of
from uvicorn.bridge.consumer import Consumer, name_of
from uvicorn.errors import ConsumerError

__all__ = ["CHANNELS", "LifecycleHooks", "Router", "SingleConsumer", "callables"]

CHANNELS: Final = (
    "http.request",
    "http.disconnect",
    "websocket.connect",
    "websocket.receive",
    "websocket.gap",
    "websocket.disconnect",
)
_SINGLE: Final = tuple(channel for channel in CHANNELS if channel not in ("http.disconnect", "websocket.gap"))


class Router:
    """A list of routes; the first that matches wins.

    Args:
        on_startup: called before the first message, one after the other: callables without arguments, of either kind.
        on_shutdown: called after the last message.

    Attributes:
        mistakes: what is wrong in the list. One with mistakes can be included or mounted, which are then mistaken,
            too; it cannot be served.
        by_content: what a message of a socket says decides which consumer gets it, and not only its channel and path.
    """

    only: Consumer | None = None

    def __init__(
        self,
        routes: Iterable[Any],
        on_startup: Any = (),
        on_shutdown: Any = (),
    ) -> None:
        wrong = Mistakes()
        entries: list[Entry] = []
        given = tuple(routes)
        for number, entry in enumerate(given):
            entry = entry_of(entry)
            if isinstance(entry, (Route, Include, Mount)):
                entries.append(entry)
            elif isinstance(entry, Mistaken):
                wrong.found += entry.mistakes
            else:
                wrong.add(
                    f"entry {number} of the list of routes is {entry!r}; "
                    "make it with route(...), include(...) or mount(...)"
                )
        if not given:
            wrong.add("the list of routes is empty")
        self.entries: tuple[Entry, ...] = tuple(entries)
        self.hooks = LifecycleHooks()
        with wrong:
            self.hooks = LifecycleHooks(callables("on_startup", on_startup), callables("on_shutdown", on_shutdown))
        for entry in entries:
            if not isinstance(entry, Route):
                self.hooks = self.hooks.joined(_inner(entry).hooks)
        self.by_content = any(not isinstance(entry, Route) and _inner(entry).by_content for entry in entries)
        self.mistakes: Final = tuple(wrong.found)
        channels = (*CHANNELS, *self.channels())
        self._tables = {} if wrong else {channel: _Table(entries, channel) for channel in channels}

    def __call__(self, message: Any) -> None:
        """Raise: an application that Gunicorn loads itself must only be callable."""
        raise ConsumerError("a Router is an application of its own: it cannot be called, nor be a consumer in a route")

    def find(self, channel: str, path: str, message: Mapping[str, Any] | None = None) -> Consumer | None:
        """Return the consumer of the first route that matches, or None.

        Args:
            message: for patterns of other keys than the path; without it, routes that have such do not match.
        """
        if message is None:
            return self.find_below(channel, path, {})
        root = message.get("root_path")
        if root and below(path, root.rstrip("/")):
            path = path[len(root.rstrip("/")) :]
        return self.find_below(channel, path, message)

    def find_below(self, channel: str, path: str, message: Mapping[str, Any]) -> Consumer | None:
        """Return the consumer for a path below the mount point."""
        table = self._tables.get(channel)
        if table is None:
            Mistakes(self.mistakes).check()
            return None
        for entry in table.candidates(path):
            consumer = entry.find_in(channel, path, message)
            if consumer is not None:
                return consumer
        return None

    def consumers(self) -> list[Consumer]:
        """Return the consumers of all routes."""
        found: list[Consumer] = []
        for entry in self.entries:
            found += [entry.consumer] if isinstance(entry, Route) else _inner(entry).consumers()
        return found

    def channels(self) -> dict[str, list[Consumer]]:
        """Return the channels of the application's own that routes are for, each with its consumers."""
        found: dict[str, list[Consumer]] = {}
        for entry in self.entries:
            if not isinstance(entry, Route):
                for channel, consumers in _inner(entry).channels().items():
                    found.setdefault(channel, []).extend(consumers)
            elif entry.channel not in CHANNELS:
                found.setdefault(entry.channel, []).append(entry.consumer)
        return found

    def moved(self, change: Callable[[Consumer], Consumer]) -> Router:
        """Return a copy with other consumers."""
        copy = Router([entry.moved(change) for entry in self.entries])
        copy.hooks = self.hooks
        return copy

    def pools(self) -> dict[str, int]:
        """Return the pools that routes and mounts name: name -> threads.

        Raises: RouteError if the size of one is not said, or said differently.
        """
        wrong = Mistakes()
        sizes: dict[str, set[int]] = {}
        for name, threads in self.pools_named():
            sizes.setdefault(name, set()).update([threads] if threads is not None else [])
        for name, given in sizes.items():
            if len(given) > 1:
                wrong.add(f"pool {name!r} has different sizes: {', '.join(map(str, sorted(given)))} threads")
            elif not given and not self.mistakes:  # or a mistaken entry may say it
                wrong.add(f"pool {name!r} has no size: say threads=... at one of its routes")
        wrong.check()
        return {name: given.pop() for name, given in sizes.items() if given}

    def pools_named(self) -> list[tuple[str, int | None]]:
        """Return the pools that routes and mounts name: name and threads, or None where the size is said elsewhere."""
        found: list[tuple[str, int | None]] = []
        for entry in self.entries:
            if isinstance(entry, Route):
                if entry.consumer.pool_name is not None:
                    found.append((entry.consumer.pool_name, entry.threads))
                continue
            if isinstance(entry, Mount):
                found += entry.pools.items()
            found += _inner(entry).pools_named()
        return found


class _Table:
    """The entries of one channel, by the first segment of the paths that they are for."""

    __slots__ = ("_by_segment", "_others")

    def __init__(self, entries: Iterable[Entry], channel: str) -> None:
        has_path = channel in CHANNELS
        listed = [(entry.segment if has_path else None, entry) for entry in entries if entry.channel in (None, channel)]
        self._others = tuple(entry for segment, entry in listed if segment is None)
        self._by_segment: dict[str, tuple[Entry, ...]] = {}
        for known in {segment for segment, _ in listed if segment is not None}:
            found = tuple(entry for segment, entry in listed if segment in (None, known))
            self._by_segment[known] = found
            self._by_segment[known + "\n"] = found  # "$" matches before a newline at the end

    def candidates(self, path: str) -> tuple[Entry, ...]:
        """Return the entries that may match a path, in their order."""
        if not self._by_segment:
            return self._others
        parts = path.split("/", 2)
        return self._by_segment.get(parts[1], self._others) if len(parts) > 1 else self._others


class SingleConsumer:
    """One consumer for every request and the messages of every socket; WSGI applications and files have requests only.

    Args:
        sockets: the consumer of the messages of sockets; None for the same one, and for an ASGI application an
            `ASGISockets`.
    """

    by_content = False

    def __init__(self, consumer: Consumer, sockets: Consumer | None = None) -> None:
        self.only: Consumer | None = consumer
        self.hooks = LifecycleHooks()
        self._consumer = consumer
        target = consumer.target
        if sockets is None:
            sockets = consumer.replaced(call=ASGISockets(target)) if isinstance(target, ASGIApplication) else consumer
        self._sockets = sockets
        self._channels = ("http.request",) if getattr(target, "knows_no_sockets", False) else _SINGLE

    def find(self, channel: str, path: str, message: Mapping[str, Any] | None = None) -> Consumer | None:
        """Return the consumer, if it is for this channel."""
        if channel == "http.request":
            return self._consumer
        return self._sockets if channel in self._channels else None

    find_below = find

    def consumers(self) -> list[Consumer]:
        """Return the one consumer."""
        return [self._consumer]

    def moved(self, change: Callable[[Consumer], Consumer]) -> SingleConsumer:
        """Return a copy with another consumer."""
        copy = SingleConsumer(change(self._consumer), change(self._sockets))
        copy.hooks = self.hooks
        return copy

    def pools(self) -> dict[str, int]:
        """Return the pools that are named: none."""
        return {}

    def pools_named(self) -> list[tuple[str, int | None]]:
        """Return the pools that are named: none."""
        return []

    def channels(self) -> dict[str, list[Consumer]]:
        """Return the channels of the application's own: it has none."""
        return {}


def callables(what: str, given: Any) -> tuple[Callable[[], Any], ...]:
    """Check what `on_startup` or `on_shutdown` names: a callable, or a list of callables.

    Raises: ConsumerError.
    """
    found = tuple(given) if isinstance(given, (list, tuple)) else (given,)
    for function in found:
        if not callable(function):
            raise ConsumerError(f"{what} must be a callable or a list of callables, not {function!r}")
        try:
            inspect.signature(function).bind()
        except TypeError:
            raise ConsumerError(f"{what}: {name_of(function)} must be callable without arguments") from None
        except ValueError:
            pass  # some builtins have no signature
    return found


def _inner(entry: Include | Mount) -> Finder:
    return entry.router if isinstance(entry, Include) else entry.application
