"""The scenarios in which a server is overloaded, or has clients that are slow or mean no good."""

from __future__ import annotations

from benchmarks.checks import HELLO, Request
from benchmarks.hostile import Flooded, Overload, Pipelined, SlowCrowd
from benchmarks.scenario import Scenario
from benchmarks.servers import Contender

__all__ = ["HOSTILE"]

_THREADS = 40
_PAGE_SECONDS = 0.1  # of the page that is overloaded
_SLOW = 2000

_OVERLOADED = (
    Contender("ours, sync", "ours", "consumers:wait_100_sync", "sync"),
    Contender("granian WSGI", "granian wsgi", "wsgi:wait_100", "sync"),
    Contender("Starlette def on uvicorn", "uvicorn", "framework:wait_100", "sync"),
    Contender("gunicorn gthread", "gunicorn gthread", "wsgi:wait_100", "sync"),
    Contender("a2wsgi on uvicorn", "uvicorn", "wrapped:wait_100", "sync"),
)
_SEVERAL = (
    Contender("ours, async", "ours", "consumers:several", "async"),
    Contender("uvicorn", "uvicorn", "asgi:several", "async"),
    Contender("granian ASGI", "granian asgi", "asgi:several", "async"),
    Contender("ours, sync", "ours", "consumers:several_sync", "sync"),
    Contender("granian WSGI", "granian wsgi", "wsgi:several", "sync"),
    Contender("gunicorn gthread", "gunicorn gthread", "wsgi:several", "sync"),
)
_FLOODED = (
    Contender("ours, async", "ours", "consumers:several", "async"),
    Contender("ours, ASGI", "ours", "asgi:several", "async"),
    Contender("uvicorn", "uvicorn", "asgi:several", "async"),
)
_PROXIED = (Contender("ours, async", "ours, PROXY header", "consumers:several", "async"),)
_TURNS = Request("/turns", answer=None)


def _slow(kind: str, title: str) -> Scenario:
    return Scenario(
        f"slow-{kind}",
        f"A page beside {_SLOW:,} {title}",
        _SEVERAL,
        SlowCrowd(kind, _SLOW),
        ("p99_ms", "p50_ms", "answered_percent", "slow_clients", "kib_per_connection"),
        seconds=5,
        is_fresh=True,
        is_idle=True,
    )


def _flood(name: str, kind: str, title: str, contenders: tuple[Contender, ...] = _FLOODED) -> Scenario:
    return Scenario(
        f"flood-{name}",
        f"An asynchronous page beside eight clients that send {title}",
        contenders,
        Flooded(kind, page="new" if kind == "proxy" else "kept"),
        ("p99_ms", "turn_units", "turn_ms", "p50_ms", "answered_percent", "flood_mib_per_second"),
        (HELLO, _TURNS),
        seconds=5,
        is_fresh=True,
    )


def _pipelined(name: str, kind: str, title: str) -> Scenario:
    return Scenario(
        f"pipelined-{name}",
        f"Memory beside four clients that send requests without end and {title}",
        _FLOODED,
        Pipelined(kind),
        ("grown_mib", "resident_mib"),
        seconds=20,
        is_fresh=True,
    )


HOSTILE = (
    Scenario(
        "overload",
        f"Four times as many requests as {_THREADS} threads can serve: a wait of {_PAGE_SECONDS * 1000:.0f} ms",
        _OVERLOADED,
        Overload("/", _THREADS / _PAGE_SECONDS, 4, 2.5 * _PAGE_SECONDS),
        ("served_per_second", "p99_ms", "refused_per_second", "recovery_seconds"),
        seconds=8,
        is_fresh=True,
    ),
    _slow("heads", "clients that send a byte of a head each second"),
    _slow("bodies", "clients that send a byte of a body each second"),
    _slow("readers", "clients that read 1 KiB/s"),
    _slow("idle", "clients that send nothing"),
    Scenario(
        "slow-default",
        "A page beside 1,100 clients that send a byte of a body each second, with default limits",
        _SEVERAL,
        SlowCrowd("bodies", 1100),
        ("answered_percent", "p99_ms", "p50_ms", "slow_clients"),
        seconds=10,
        is_fresh=True,
    ),
    _flood("messages", "messages", "messages of one byte"),
    _flood("messages-unread", "messages, not read", "messages of one byte and read no echo"),
    _flood("fragments", "fragments", "empty fragments of a message"),
    _flood("pings", "pings", "empty pings"),
    _flood("pings-unread", "pings, not read", "empty pings and read no pongs"),
    _flood("chunks", "chunks", "chunks of one byte"),
    _flood("extensions", "extensions", "chunks of one byte with 4 KB of extensions each"),
    _flood("fields", "fields", "requests with 96 fields"),
    _flood("requests", "requests", "requests without end"),
    _flood("requests-unread", "requests, not read", "requests without end and read no answers"),
    _flood("proxy", "proxy", "PROXY headers byte by byte", _PROXIED),
    _pipelined("read", "requests", "read the answers"),
    _pipelined("unread", "requests, not read", "read none"),
)
