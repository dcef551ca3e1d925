"""What is served, in words: a line for each mount, for the start of a server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

from uvicorn.applications.asgi import ASGIApplication
from uvicorn.applications.detect import is_wsgi
from uvicorn.applications.router import Router, SingleConsumer
from uvicorn.applications.routes import Finder, Mount, Route
from uvicorn.bridge.consumer import Consumer

__all__ = ["Served", "served"]

_MOST_NAMES: Final = 3


class Served(NamedTuple):
    """What is below one prefix.

    Attributes:
        what: the kind, and names.
        where: which side it runs on, and in which pool.
    """

    prefix: str
    what: str
    where: str


def served(application: Router | SingleConsumer) -> list[Served]:
    """Return what is served, in the order in which it is looked at: each mount, and the routes beside them in one."""
    return _below("", application, application.pools())


def _below(prefix: str, application: Finder, pools: dict[str, int]) -> list[Served]:
    if not isinstance(application, Router):
        return [_single(prefix, consumer, pools) for consumer in application.consumers()]
    found: list[Served] = []
    routes: list[Consumer] = []
    at = 0  # where the line of the routes belongs
    for entry in application.entries:
        if isinstance(entry, Mount):
            found += _below(prefix + entry.prefix, entry.application, pools)
            continue
        if not routes:
            at = len(found)
        routes += [entry.consumer] if isinstance(entry, Route) else entry.router.consumers()
    if routes:
        found.insert(at, _routes(prefix, routes, pools))
    return found


def _single(prefix: str, consumer: Consumer, pools: dict[str, int]) -> Served:
    names_itself = getattr(consumer.target, "names_itself", False)
    what = consumer.name if names_itself else f"{_kind(consumer)} {consumer.name}"
    return Served(prefix or "/", what, _side(consumer, pools))


def _routes(prefix: str, consumers: list[Consumer], pools: dict[str, int]) -> Served:
    names = [*dict.fromkeys(consumer.name for consumer in consumers)]
    shown = ", ".join(names[:_MOST_NAMES])
    if len(names) > _MOST_NAMES:
        shown += f" and {len(names) - _MOST_NAMES} more"
    kinds = _counted(_kind(consumer) for consumer in consumers)
    count = f"{len(consumers)} route{'s' if len(consumers) > 1 else ''}"
    return Served(prefix or "/", f"{count}: {kinds}: {shown}", _counted(_side(each, pools) for each in consumers))


def _counted(words: Iterable[str]) -> str:
    counts = Counter(words)
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{count} {word}" for word, count in counts.most_common())


def _kind(consumer: Consumer) -> str:
    if is_wsgi(consumer):
        return "WSGI application"
    if isinstance(consumer.target, ASGIApplication):
        return "ASGI application"
    return "consumer"


def _side(consumer: Consumer, pools: dict[str, int]) -> str:
    if consumer.pool_name is None:
        return "on the event loop" if consumer.is_async else "in threads"
    threads = pools.get(consumer.pool_name)
    named = f"in {f'{threads} ' if threads else ''}threads of pool {consumer.pool_name}"
    return f"on the event loop and {named}" if consumer.is_async else named
