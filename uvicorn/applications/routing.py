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

import importlib
import inspect
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

from uvicorn.applications.asgi import ASGIApplication
from uvicorn.applications.detect import as_consumer
from uvicorn.applications.environ import below
from uvicorn.applications.mistakes import Mistaken, Mistakes
from uvicorn.applications.options import check_pool, check_slow, lasting, leisurely, may_have_pool, pooled
from uvicorn.applications.patterns import Filters, compile_pattern, groups_of
from uvicorn.applications.router import CHANNELS, Router, SingleConsumer
from uvicorn.applications.routes import Include, Mount, Route, under
from uvicorn.applications.wsgi import WSGIApplication
from uvicorn.bridge.consumer import Consumer, check_groups, is_async_callable, name_of
from uvicorn.errors import ConsumerError

__all__ = ["Route", "Router", "SingleConsumer", "as_application", "include", "mount", "route", "route_class"]

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
        channel: "http.request", "http.disconnect", "websocket.connect", "websocket.receive" or "websocket.disconnect".
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
        patterns: regular expressions for other keys: method, scheme, http_version, query_string, raw_path, root_path.

    Raises: what the own import of a named consumer raises.
    Spec: ASGI draft (django/channels cd34f65); the terms are those of Channels 1 routing.
    """
    wrong = Mistakes()
    if channel not in CHANNELS:
        wrong.add(f"no messages come from {channel!r}; a route can be for {', '.join(CHANNELS)}")
    what = f"a route to {consumer.name if isinstance(consumer, Consumer) else name_of(consumer)}"
    filters = _compiled(what, path, patterns, wrong)
    has_patterns = not wrong
    made: Consumer | None = None
    with wrong:
        consumer = _imported(consumer) if isinstance(consumer, str) else consumer
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
            and the named groups, and have `dispatch(message, **groups)`; for example a `BaseConsumer`.
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
        router = _router(routes)
        wrong.found += router.mistakes
        for consumer in router.consumers():
            with wrong:
                check_groups(consumer.target, consumer.name, groups)
    if wrong or router is None:
        return wrong.entry()
    return Include(router.moved(lambda consumer: consumer.replaced(missing=consumer.missing - {*groups})), filters)


def mount(
    prefix: str,
    application: Any,
    pool: str | None = None,
    threads: int | None = None,
    body: str | None = None,
    long: bool | None = None,
    slow: bool | None = None,
    redirect: bool = False,
) -> Mount | Mistaken:
    """Put a whole application below a prefix: "/api" is for /api and /api/..., "/" for everything.

    The application's `root_path` (`SCRIPT_NAME`) has the prefix, and the routes of a list see the path below it.

    Args:
        application: a consumer, a WSGI or ASGI application, a list of routes, or a Router; or its dotted name.
        pool, threads, body, long, slow: as for `route`.
        redirect: send who asks for /api to /api/, so that relative links in its pages are right.

    Raises: what the own import of a named application raises.
    """
    wrong = Mistakes()
    if isinstance(prefix, str) and prefix.startswith("/"):
        prefix = prefix.rstrip("/")
    else:
        wrong.add(f"the prefix of a mount must begin with '/', not {prefix!r}")
    what = f"the mount of {prefix or '/'}"
    made: Router | SingleConsumer | None = None
    with wrong:
        made = as_application(_imported(application) if isinstance(application, str) else application, body=body)
    if pool is not None or threads is not None:
        with wrong:
            check_pool(what, pool, threads)
            if made is not None and not any(may_have_pool(consumer) for consumer in made.consumers()):
                raise ConsumerError(f"{what} has a pool, and none of its consumers is synchronous")
    if long is not None and made is not None and all(consumer.is_async for consumer in made.consumers()):
        wrong.add(f"{what} is said to run long or not, and none of its consumers is synchronous")
    with wrong:
        check_slow(what, slow)
    if wrong or made is None:
        return wrong.entry()

    def change(consumer: Consumer) -> Consumer:
        if pool is not None and consumer.pool_name is None and may_have_pool(consumer):
            consumer = consumer.replaced(pool_name=pool)
        if long is not None:
            consumer = consumer.replaced(is_long=bool(long))
        if slow is not None:
            consumer = consumer.replaced(is_slow=slow)
        return under(prefix, consumer)

    pools = {pool: threads} if pool is not None else {}
    return Mount(prefix, made.moved(change), pools, Consumer(_add_slash) if redirect else None)


async def _add_slash(message: Any) -> None:
    """Send a client to the same address with a "/" at the end of its path; the method and the body stay (307)."""
    root, path, query = message["root_path"].rstrip("/"), message["raw_path"], message["query_string"]
    if root and not below(message["path"], root):  # a proxy has taken it off
        path = root.encode("utf-8", "surrogateescape") + path
    location = path + b"/" + (b"?" + query if query else b"")
    message["reply_channel"].send({"status": 307, "headers": [(b"location", location)]})


def as_application(
    loaded: Any, interface: str = "auto", body: str | None = None, is_whole: bool = False
) -> Router | SingleConsumer:
    """Make an application of what was loaded: a callable of any kind, a list of routes, or a Router.

    Args:
        interface: what a callable is; "auto" to look at it.
        is_whole: it is no part of another one: each of its pools must have a size.

    Raises: ConsumerError that says what is wrong and what is allowed; RouteError with all mistakes of a list.
    """
    if isinstance(loaded, SingleConsumer):
        return loaded
    if isinstance(loaded, dict):
        raise ConsumerError(_advice_on_dict(loaded))
    if not isinstance(loaded, (Router, Route, Include, Mount, Mistaken, list, tuple)):
        return SingleConsumer(as_consumer(loaded, interface, body))
    router = _router(loaded)
    wrong = Mistakes(router.mistakes)
    for consumer in router.consumers():
        if consumer.missing:
            names = ", ".join(sorted(consumer.missing))
            wrong.add(f"{consumer.name} requires {names}, which no named group of its route gives")
    if is_whole:
        with wrong:
            router.pools()
    wrong.check()
    return router


def _advice_on_dict(routing: dict[Any, Any]) -> str:
    """Return how a dict of channels, which Channels 1 took as well, is written as a list."""
    shown = ", ".join(
        f"route({channel!r}, {consumer if isinstance(consumer, str) else name_of(consumer).rpartition('.')[2]})"
        for channel, consumer in [*routing.items()][:3]
    )
    more = ", ..." if len(routing) > 3 else ""
    return f"a dict is no list of routes; write [{shown}{more}], with the consumers themselves in place of their names"


def _router(routes: Any) -> Router:
    """Make a Router of a list of routes, of one entry, or of the dotted name of one.

    Raises: ConsumerError for what is none of these.
    """
    if isinstance(routes, str):
        routes = _imported(routes)
    if isinstance(routes, (Route, Include, Mount, Mistaken)):
        routes = [routes]
    if isinstance(routes, Router):
        return routes
    if not isinstance(routes, Iterable) or isinstance(routes, (str, bytes)):
        raise ConsumerError(f"{routes!r} is no list of routes")
    return Router(routes)


def _imported(name: str) -> Any:
    """Import what a dotted name names: "package.module.name", or "package.module:name".

    Raises: ConsumerError if there is no such name; what the module's own import raises.
    """
    module_name, colon, attribute = name.partition(":")
    if not colon:
        module_name, _, attribute = name.rpartition(".")
    if not module_name or not attribute:
        raise ConsumerError(f"{name!r} is no dotted name: write 'package.module.name'")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing != module_name and not module_name.startswith(missing + "."):
            raise  # the module's own import failed
        raise ConsumerError(f"{name!r}: there is no module {missing!r}") from None
    except AttributeError:
        raise ConsumerError(f"{name!r}: there is no {attribute!r} in {module_name!r}") from None


def _compiled(what: str, path: str | None, patterns: Mapping[str, Any], wrong: Mistakes) -> Filters:
    """Compile the patterns of one entry; the wrong ones are left out, and named."""
    filters: Filters = {}
    for key, pattern in {"path": path, **patterns}.items():
        if key not in _KEYS:
            wrong.add(f"{what} has a pattern for {key!r}; messages have {', '.join(sorted(_KEYS))}")
        elif pattern is not None:
            with wrong:
                filters[key] = compile_pattern(what, key, pattern)
    return filters


def _routed(channel: Any, consumer: Any, what: str, body: str | None, groups: list[str]) -> Consumer:
    """Make the consumer of a route. Raises: ConsumerError."""
    made = as_consumer(consumer, body=body, unknown="consumer", groups=groups)
    if str(channel).startswith("websocket.") and isinstance(made.target, (ASGIApplication, WSGIApplication)):
        raise ConsumerError(f"{what} is for {channel} alone: an ASGI application takes whole sockets, from mount(...)")
    if made is consumer:  # it was declared: its groups were not looked at
        check_groups(made.target, made.name, groups)
    return made


def _class_call(consumer: Any, message: Any, **groups: str) -> Any:
    return consumer(message, **groups).dispatch(message, **groups)


async def _class_call_async(consumer: Any, message: Any, **groups: str) -> None:
    await consumer(message, **groups).dispatch(message, **groups)
