"""A whole application, made of whatever was loaded; and its place below a prefix."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from uvicorn.applications.detect import as_consumer
from uvicorn.applications.environ import below
from uvicorn.applications.mistakes import Mistaken, Mistakes
from uvicorn.applications.options import check_pool, check_slow, may_have_pool
from uvicorn.applications.router import Router, SingleConsumer
from uvicorn.applications.routes import Include, Mount, Route, under
from uvicorn.applications.shapes import entry_of, whole_of
from uvicorn.bridge.consumer import Consumer, name_of
from uvicorn.errors import ConsumerError

__all__ = ["as_application", "imported", "mount", "router_of"]


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
        made = as_application(imported(application) if isinstance(application, str) else application, body=body)
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
    if is_whole:
        loaded = whole_of(loaded)
    if isinstance(loaded, SingleConsumer):
        return loaded
    if isinstance(loaded, dict):
        raise ConsumerError(_advice_on_dict(loaded))
    if not isinstance(loaded, (Router, Route, Include, Mount, Mistaken, list, tuple)):
        return SingleConsumer(as_consumer(loaded, interface, body))
    router = router_of(loaded)
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


def router_of(routes: Any) -> Router:
    """Make a Router of a list of routes, of one entry, or of the dotted name of one.

    Raises: ConsumerError for what is none of these.
    """
    if isinstance(routes, str):
        routes = imported(routes)
    routes = entry_of(routes)
    if isinstance(routes, (Route, Include, Mount, Mistaken)):
        routes = [routes]
    if isinstance(routes, Router):
        return routes
    if not isinstance(routes, Iterable) or isinstance(routes, (str, bytes)):
        raise ConsumerError(f"{routes!r} is no list of routes")
    return Router(routes)


def imported(name: str) -> Any:
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
