"""Who takes part in the scenarios: each server with what it serves."""

from __future__ import annotations

from benchmarks.servers import Contender

__all__ = [
    "APPLICATIONS",
    "BOTH",
    "GOVERNOR_OFF",
    "LOOPS",
    "OURS",
    "OURS_OFF",
    "OURS_SYNC",
    "PAGES",
    "SIDE_BY_SIDE",
    "STARLETTE",
    "TWO_POOLS",
    "contenders_with",
]

OURS, OURS_SYNC, OURS_OFF = "ours, async", "ours, sync", "ours, sync, governor off"
PAGES = (  # name, kind, application, side
    (OURS, "ours", "consumers:{}", "async"),
    ("uvicorn", "uvicorn", "asgi:{}", "async"),
    ("granian ASGI", "granian asgi", "asgi:{}", "async"),
    ("gunicorn asgi", "gunicorn asgi", "asgi:{}", "async"),
    ("hypercorn", "hypercorn", "asgi:{}", "async"),
    (OURS_SYNC, "ours", "consumers:{}_sync", "sync"),
    ("granian WSGI", "granian wsgi", "wsgi:{}", "sync"),
    ("Starlette def on uvicorn", "uvicorn", "framework:{}", "sync"),
    ("gunicorn gthread", "gunicorn gthread", "wsgi:{}", "sync"),
    ("a2wsgi on uvicorn", "uvicorn", "wrapped:{}", "sync"),
)
LOOPS = (
    Contender("granian RSGI", "granian rsgi", "rsgi:hello", "async"),
    Contender("meinheld", "meinheld", "hello", "async"),
    Contender("bjoern", "bjoern", "hello", "async"),
    Contender("fastpysgi", "fastpysgi", "hello", "async"),
    Contender("constant bytes", "constant bytes", "", "limit"),
)
APPLICATIONS = (
    Contender("ours, ASGI", "ours", "asgi:hello", "asgi"),
    Contender("ours, WSGI", "ours", "wsgi:hello", "wsgi"),
    Contender("ours, uncompiled", "ours, uncompiled", "consumers:hello", "uncompiled"),
)
BOTH = (
    (OURS_SYNC, OURS),
    ("ours, ASGI", "uvicorn"),
    ("ours, WSGI", "granian WSGI"),
    ("ours, uncompiled", "uvicorn"),
)


def contenders_with(page: str, *without: str) -> tuple[Contender, ...]:
    """Return the contenders that have this page."""
    return tuple(
        Contender(name, kind, app.format(page), side) for name, kind, app, side in PAGES if name not in without
    )


STARLETTE = "Starlette def on uvicorn"
GOVERNOR_OFF = Contender(OURS_OFF, "ours, governor off", "consumers:hello_sync", "sync")
SIDE_BY_SIDE = (
    Contender("ours", "ours", "consumers:mixed", "sync"),
    Contender("ours, governor off", "ours, governor off", "consumers:mixed", "sync"),
    Contender("Starlette on uvicorn", "uvicorn", "framework:mixed", "sync"),
    Contender("Starlette on granian", "granian asgi", "framework:mixed", "sync"),
)
TWO_POOLS = (
    Contender("ours, two pools", "ours", "consumers:mixed_two_pools", "sync", needs=("pool", "threads")),
    Contender("ours, one pool", "ours", "consumers:mixed", "sync"),
)
