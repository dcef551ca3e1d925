"""Which consumer gets a message.

An application is one consumer (or WSGI, or ASGI application), or a list of routes:

    channel_routing = [
        route("http.request", report, path=r"^/reports/(?P<year>\\d+)$"),
        include("project.chat.routing.routes", path=r"^/chat"),
        mount("/api", service),
        route("http.request", home),
    ]

The first one that matches wins; no match is 404. Patterns are compiled once, and searched for in the decoded path (or
another key of the message): begin a pattern with "^" to match from the start. Named groups reach the consumer as
keyword arguments. The path of a route is what is below the mount point, and `root_path`.

A mistake raises nothing here: it is kept, and told with all others when the list is served (`mistakes.py`).

The cost: a route that begins with a literal segment, such as "^/reports/", is tried only for paths that begin with it.
So 500 of them cost as much as one; all others are tried in their order.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any, Final

from uvicorn.applications.asgi import ASGIApplication
from uvicorn.applications.detect import as_consumer, is_wsgi
from uvicorn.applications.mistakes import Mistaken, Mistakes
from uvicorn.applications.mounting import imported, router_of
from uvicorn.applications.options import check_pool, lasting, leisurely, pooled
from uvicorn.applications.patterns import Filters, compile_pattern, groups_of
from uvicorn.applications.router import CHANNELS, Router, SingleConsumer
from uvicorn.applications.routes import Include, Mount, Route
from uvicorn.bridge.consumer import Consumer, check_groups, is_async_callable, name_of
from uvicorn.errors import ConsumerError
from uvicorn.layers.names import check_channel, is_background

__all__ = ["include", "route", "route_class"]

#: the keys of messages that a pattern can be for
_KEYS: Final = frozenset({"path", "method", "scheme", "http_version", "query_string", "raw_path", "root_path"})


def route(
    channel: str,
    consumer: Any,
    path: str | None = None,
    body: str | None = None,
    pool: str | None = None,
    threads: int | None = None,
    long: bool | None = None,
    slow: bool | None = None,
    **patterns: str,
) -> Route | Mistaken:
    """Make a route, or what knows the mistakes in it.

    Args:
        channel: "http.request", "http.disconnect", "websocket.connect", "websocket.receive", "websocket.disconnect" or
            "websocket.gap"; or a channel of the application's own: what `Channel(name).send` sends.
        consumer: a callable that takes one message, or a WSGI or ASGI application; or its dotted name.
        path: a regular expression searched for in the decoded path; None for every path.
        body: "stream" for a synchronous consumer that wants a large body as it comes; "collect" for one that
            wants it complete, the default.
        pool: the name of a pool of threads of its own for a synchronous consumer, or for the synchronous code of an
            ASGI application; routes and mounts with the same name share it.
        threads: how many threads that pool has; to be said once.
        long: True for a synchronous consumer whose calls may take any time: they are never taken for stuck. None for
            what `runs_long` says.
        slow: its clients may be slow on purpose, as `streams_slowly` says; None for what that has said.
        patterns: regular expressions for other keys: method, scheme, http_version, query_string, raw_path, root_path;
            for a channel of the application's own any keys of its messages.

    Raises: what the own import of a named consumer raises.
    Spec: ASGI draft (django/channels cd34f65); the terms are those of Channels 1 routing.
    """
    wrong = Mistakes()
    if channel not in CHANNELS and not _is_background(channel):
        wrong.add(
            f"no messages come from {channel!r}; a route can be for {', '.join(CHANNELS)}, or a channel of your own: "
            "letters, digits, hyphens, underscores and full stops"
        )
    what = f"a route to {consumer.name if isinstance(consumer, Consumer) else name_of(consumer)}"
    filters = _compiled(what, path, patterns, wrong, None if channel not in CHANNELS else _KEYS)
    has_patterns = not wrong
    made: Consumer | None = None
    with wrong:
        consumer = imported(consumer) if isinstance(consumer, str) else consumer
        if isinstance(consumer, (Router, SingleConsumer, Route, Include, Mount, Mistaken, list, tuple)):
            raise ConsumerError("a route leads to one consumer: use include(...) or mount(...) for a list of routes")
        if has_patterns or not callable(consumer):  # its arguments are judged by the groups of the patterns
            made = _routed(channel, consumer, what, body, groups_of(filters))
    if pool is not None or threads is not None:
        with wrong:
            check_pool(what, pool, threads)
            if made is not None:
                made = pooled(made, what, pool)
    if long is not None and made is not None:
        with wrong:
            made = lasting(made, what, long)
    if slow is not None and made is not None:
        with wrong:
            made = leisurely(made, what, slow)
    if wrong or made is None:
        return wrong.entry()
    return Route(channel, made, filters, threads)


def route_class(consumer: Any, path: str | None = None, **patterns: Any) -> Include | Mistaken:
    """Make one route for each channel that a class-based consumer has a method for (Channels 1).

    Args:
        consumer: a class with `method_mapping` (channel -> name of a method), whose instances are made with the message
            and the named groups, and have `dispatch(message, **groups)`; or `dispatched`, what that has returned, if
            they have called it themselves, as those of a `BaseConsumer` do.
    """
    wrong = Mistakes()
    mapping = getattr(consumer, "method_mapping", None)
    if not inspect.isclass(consumer) or not isinstance(mapping, Mapping) or not mapping:
        wrong.add(f"{name_of(consumer)} is no class-based consumer: it has no method_mapping")
        return wrong.entry()
    routes: list[Any] = []
    for channel, name in mapping.items():
        method = getattr(consumer, name, None)
        if method is None:
            wrong.add(f"{name_of(consumer)} has no method {name!r} for {channel}")
            routes.append(wrong.entry())
            continue
        call = _class_call_async if is_async_callable(method) else _class_call
        made = Consumer(partial(call, consumer)).replaced(name=f"{name_of(consumer)}.{name}")
        routes.append(route(channel, made, path, **patterns))
    return include(routes)


def include(routes: Any, path: str | None = None, **patterns: str) -> Include | Mistaken:
    """Put the routes of another list here; with patterns, only for messages that match them.

    Args:
        routes: a list of routes, a Router, or its dotted name: "project.chat.routing.routes".
        path: a regular expression; the routes see the path behind what it matched.
        patterns: as for `route`.

    Raises: what the own import of a named list raises.
    """
    wrong = Mistakes()
    filters = _compiled("an include", path, patterns, wrong)
    groups = groups_of(filters)
    router: Router | None = None
    with wrong:
        router = router_of(routes)
        wrong.found += router.mistakes
        for consumer in router.consumers():
            with wrong:
                check_groups(consumer.target, consumer.name, groups)
    if wrong or router is None:
        return wrong.entry()
    return Include(router.moved(lambda consumer: consumer.replaced(missing=consumer.missing - {*groups})), filters)


def _is_background(channel: Any) -> bool:
    """Whether a route may be for this channel, as one of the application's own."""
    try:
        return is_background(check_channel(channel))
    except (TypeError, ValueError):
        return False


def _compiled(
    what: str, path: str | None, patterns: Mapping[str, Any], wrong: Mistakes, keys: Collection[str] | None = _KEYS
) -> Filters:
    """Compile the patterns of one entry, for these keys or any; the wrong ones are left out, and named."""
    filters: Filters = {}
    for key, pattern in {"path": path, **patterns}.items():
        if keys is not None and key not in keys:
            wrong.add(f"{what} has a pattern for {key!r}; messages have {', '.join(sorted(keys))}")
        elif pattern is not None:
            with wrong:
                filters[key] = compile_pattern(what, key, pattern)
    return filters


def _routed(channel: Any, consumer: Any, what: str, body: str | None, groups: list[str]) -> Consumer:
    """Make the consumer of a route. Raises: ConsumerError."""
    made = as_consumer(consumer, body=body, unknown="consumer", groups=groups)
    if str(channel).startswith("websocket.") and (isinstance(made.target, ASGIApplication) or is_wsgi(made)):
        raise ConsumerError(f"{what} is for {channel} alone: an ASGI application takes whole sockets, from mount(...)")
    if made is consumer:  # it was declared: its groups were not looked at
        check_groups(made.target, made.name, groups)
    return made


def _class_call(consumer: Any, message: Any, **groups: str) -> Any:
    made = consumer(message, **groups)
    return made.dispatched if hasattr(made, "dispatched") else made.dispatch(message, **groups)


async def _class_call_async(consumer: Any, message: Any, **groups: str) -> None:
    await _class_call(consumer, message, **groups)
