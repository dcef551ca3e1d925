"""How the server finds consumers among routes of Channels 1: `entry_of` makes them an entry of its own list.

Matching is left to the routes' own `match`, so that anything that has one can stand among them. The message that it
gets has the path below the mount point. What each consumer is - thread or loop, its name for the log - is looked at
once, when the entry is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from uvicorn.applications.mistakes import Mistaken, Mistakes
from uvicorn.applications.routes import Change, Include, LifecycleHooks
from uvicorn.bridge.consumer import Consumer, is_async_callable
from uvicorn.channels1.calls import AsyncCall, Call
from uvicorn.channels1.message import Message
from uvicorn.errors import ConsumerError, Mistake
from uvicorn.layers.names import is_background

__all__ = ["entry_of"]

_NO_HOOKS = LifecycleHooks()
#: the keys of a message of a socket that its consumers can be looked up by once, when it is opened
_LASTING = frozenset({"path", "root_path"})


def entry_of(entry: Any, hooks: LifecycleHooks = _NO_HOOKS) -> Include | Mistaken:
    """Make an entry of the server's list of one route, or of an include with all that is in it.

    Args:
        hooks: what is to be called when the server starts, and when it stops.

    Returns: what knows the mistakes in it, if there are any.
    """
    finder = _Finder(entry, hooks)
    wrong = Mistakes()
    finder.prepare(wrong)
    return wrong.entry() if wrong else Include(finder, {})


class _Finder:
    """What finds the consumer of a message.

    Args:
        entry: has `match(message)`, which returns a callable and its arguments, or None.
        change: what mounts make of each consumer.

    Attributes:
        by_content: its routes look at what the messages of a socket say.
    """

    def __init__(self, entry: Any, hooks: LifecycleHooks, change: Change | None = None) -> None:
        self.hooks = hooks
        self._entry = entry
        self._change = change
        self.by_content = any(_looks_inside(part) for part in _parts(entry))
        self._made: dict[tuple[str, int], Consumer] = {}  # by channel and consumer, which its route keeps alive

    def find_below(self, channel: str, path: str, message: Mapping[str, Any]) -> Consumer | None:
        """Return the consumer for a path below the mount point, with the named groups bound to it."""
        found = self._entry.match(Message({**message, "path": path}, channel))
        if found is None:
            return None
        call, groups = found
        consumer = self._made.get((channel, id(call))) or self._consumer_of(channel, call)
        return consumer.replaced(call=partial(consumer.call, **groups)) if groups else consumer

    def prepare(self, wrong: Mistakes) -> None:
        """Make the consumers of all routes; keep what is wrong with them."""
        for route, groups in _routes(self._entry, frozenset()):
            for channel in route.channels:
                try:
                    self._made[channel, id(route.consumer)] = self._consumer_of(channel, route.consumer)
                    _check(route.consumer, groups)
                except ConsumerError as error:
                    wrong.found.append(Mistake(str(error), route.place))

    def consumers(self) -> list[Consumer]:
        """Return the consumers of all routes that say theirs."""
        return list(self._made.values())

    def channels(self) -> dict[str, list[Consumer]]:
        """Return the channels of the application's own that routes are for, each with its consumers."""
        found: dict[str, list[Consumer]] = {}
        for (channel, _), consumer in self._made.items():
            if is_background(channel):
                found.setdefault(channel, []).append(consumer)
        return found

    def moved(self, change: Change) -> _Finder:
        """Return a copy with other consumers."""
        before = self._change
        both = change if before is None else lambda consumer: change(before(consumer))
        moved = _Finder(self._entry, self.hooks, both)
        moved.prepare(Mistakes())
        return moved

    def pools_named(self) -> list[tuple[str, int | None]]:
        """Return the pools that are named: those of a mount, which says their size."""
        return []

    def _consumer_of(self, channel: str, call: Callable[..., Any]) -> Consumer:
        consumer = Consumer(call, groups=())
        is_async = _is_async(channel, call)
        consumer = consumer.replaced(
            call=(AsyncCall if is_async else Call)(call),
            is_async=is_async,
            streams_body=consumer.streams_body or is_async,
            missing=frozenset(),
        )
        return consumer if self._change is None else self._change(consumer)


def _check(call: Callable[..., Any], groups: frozenset[str]) -> None:
    """Refuse a consumer that cannot be called with what its route gives. Raises: ConsumerError."""
    consumer = Consumer(call, groups=groups)
    if consumer.missing:
        names = ", ".join(sorted(consumer.missing))
        raise ConsumerError(f"{consumer.name} requires {names}, which no named group of its route gives")


def _is_async(channel: str, call: Callable[..., Any]) -> bool:
    """Whether a consumer runs on the loop: a coroutine function, or a class whose method for the channel is one."""
    if is_async_callable(call):
        return True
    mapping = getattr(call, "method_mapping", None)
    method = getattr(call, mapping.get(channel, ""), None) if isinstance(mapping, Mapping) else None
    return method is not None and is_async_callable(method)


def _parts(entry: Any) -> Iterator[Any]:
    """Yield an entry and all that is in it."""
    yield entry
    for part in getattr(entry, "routing", ()):
        yield from _parts(part)


def _routes(entry: Any, groups: frozenset[str]) -> Iterator[tuple[Any, frozenset[str]]]:
    """Yield each route in an entry, with the named groups that its consumer gets."""
    patterns = {**getattr(entry, "prefixes", {}), **getattr(entry, "filters", {})}
    groups = groups.union(*(pattern.groupindex for pattern in patterns.values()))
    if hasattr(entry, "consumer") and hasattr(entry, "channels"):
        yield entry, groups
    for part in getattr(entry, "routing", ()):
        yield from _routes(part, groups)


def _looks_inside(part: Any) -> bool:
    """Whether an entry looks at other keys than those that all messages of a socket have in common."""
    if hasattr(part, "routing"):
        return bool(part.prefixes.keys() - _LASTING)
    filters = getattr(part, "filters", None)
    if filters is None:
        return True  # nobody knows
    return bool(filters.keys() - _LASTING) and bool(
        {"websocket.receive", "websocket.disconnect"}.intersection(part.channel_names())
    )
