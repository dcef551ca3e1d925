"""The scenarios: what is asked, and what is measured."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.checks import HELLO, Request
from benchmarks.contenders import (
    APPLICATIONS,
    BOTH,
    GOVERNOR_OFF,
    LOOPS,
    OURS,
    OURS_SYNC,
    PAGES,
    SIDE_BY_SIDE,
    STARLETTE,
    TWO_POOLS,
    contenders_with,
)
from benchmarks.framework_scenarios import FRAMEWORKS
from benchmarks.heads import HEADS
from benchmarks.hostile_scenarios import HOSTILE
from benchmarks.load import Load
from benchmarks.measures import Beside, Crowd, IdleMemory, Paced, SlowReaders, Throughput, start_up
from benchmarks.scenario import METRICS, Metric, Scenario
from benchmarks.servers import Contender

__all__ = ["METRICS", "SCENARIOS", "Metric", "Scenario", "choose"]

# ---- what is asked ----

_BROWSER = (  # with Host, 16 header fields
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Accept-Language", "en-US,en;q=0.5"),
    ("Accept-Encoding", "gzip, deflate, br"),
    ("Referer", "http://127.0.0.1/list?page=2"),
    ("Cookie", "session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; consent=1"),
    ("Upgrade-Insecure-Requests", "1"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-User", "?1"),
    ("Cache-Control", "max-age=0"),
    ("If-None-Match", '"33a64df551425fcc55e4d42a148795d9f25f89d4"'),
    ("DNT", "1"),
    ("Priority", "u=0, i"),
)
_MIB = 1 << 20
_STREAM_BYTES = 160 * 65536  # as in apps/work.py
_UPLOAD_BYTES = 4 * _MIB


def _hello(
    name: str,
    load: Load,
    title: str,
    rounds: int = 3,
    more: tuple[Contender, ...] = (),
    without: tuple[str, ...] = (),
    workers: int = 1,
) -> Scenario:
    all_of_them = (*contenders_with("hello"), *APPLICATIONS, *LOOPS, *more)
    return Scenario(
        name,
        f"Hello: {title}",
        tuple(contender for contender in all_of_them if contender.name not in without),
        Throughput(load),
        ("cpu_us", "requests_per_second", "p50_ms", "p99_ms"),
        pairs=BOTH,
        rounds=rounds,
        workers=workers,
    )


def _echo(name: str, size: int, title: str) -> Scenario:
    body = b"x" * size
    return Scenario(
        name,
        f"Echo of {title}, 50 connections",
        contenders_with("echo", STARLETTE),
        Throughput(Load(50, body_bytes=size)),
        ("requests_per_second", "p50_ms", "p99_ms"),
        (Request("/", "POST", (("content-type", "application/octet-stream"),), body, body),),
        pairs=BOTH,
    )


def _beside(
    name: str, title: str, *crowds: Crowd, contenders: tuple[Contender, ...] = SIDE_BY_SIDE, warm_up: float = 1.0
) -> Scenario:
    return Scenario(
        name,
        f"An asynchronous hello beside {title}",
        contenders,
        Beside(crowds, warm_up_seconds=warm_up),
        ("p50_ms", "p99_ms", *(crowd.metric for crowd in crowds)),
        (HELLO, *(Request(crowd.path) for crowd in crowds)),
        seconds=3,
    )


def _pool(path: str) -> Crowd:
    return Crowd("load_per_second", 64, path)


_MIXTURE = (Crowd("waiting_per_second", 32, "/wait10"), Crowd("computing_per_second", 32, "/compute5"))

_ASYNC_PEERS = tuple(
    contender for contender in contenders_with("hello") if contender.name in (OURS, "uvicorn", "granian ASGI")
)


def _tail(connections: int, share: float, shown: str) -> Scenario:
    return Scenario(
        f"tail-{connections}-{shown.replace(' ', '-')}",
        f"Hello at the same rate: {shown} of what the slowest can, heads that differ, {connections} connections",
        _ASYNC_PEERS,
        Paced(connections, share),
        ("p99_ms", "p50_ms", "cpu_us", "offered_per_second"),
    )


def _json() -> Scenario:
    body = b'{"id": "0", "note": ""}'
    answer = b'{"id": "0"}'
    contenders = tuple(
        contender
        for contender in contenders_with("json_post")
        if contender.name in (OURS, OURS_SYNC, "uvicorn", "granian ASGI", "granian WSGI", "gunicorn gthread")
    )
    return Scenario(
        "json-1k",
        "JSON of 1 KiB posted and parsed, heads that differ, 50 connections",
        contenders,
        Throughput(Load(50, body_bytes=1024, heads=HEADS)),
        ("cpu_us", "requests_per_second", "p50_ms", "p99_ms"),
        (Request("/", "POST", (("content-type", "application/json"),), body, answer),),
        pairs=((OURS_SYNC, OURS),),
    )


def _replies() -> Scenario:
    return Scenario(
        "replies",
        "Replies whose headers, types and lengths differ, heads that differ, 50 connections",
        (
            *(one for one in contenders_with("replies") if one.name in (OURS, OURS_SYNC, *_PEERS)),
            Contender("ours, ASGI", "ours", "asgi:replies", "asgi"),
            Contender("ours, WSGI", "ours", "wsgi:replies", "wsgi"),
        ),
        Throughput(Load(50, heads=HEADS)),
        ("cpu_us", "requests_per_second", "p50_ms", "p99_ms"),
        (Request("/0", answer=b"x" * 20),),
        pairs=((OURS_SYNC, OURS), ("ours, ASGI", "uvicorn"), ("ours, WSGI", "granian WSGI")),
    )


_PEERS = ("uvicorn", "granian ASGI", "granian WSGI", "gunicorn gthread")
_SINGLE = ("meinheld", "bjoern", "fastpysgi", "constant bytes", "Starlette def on uvicorn", "a2wsgi on uvicorn")

_ALL = (
    _hello("differing-50", Load(50, heads=HEADS), "heads that differ, 50 connections", rounds=5),
    _hello("hello-50", Load(50), "the same head each time, 50 connections", rounds=5, more=(GOVERNOR_OFF,)),
    _hello(
        "differing-2-workers",
        Load(50, heads=HEADS, is_pinned=False),
        "heads that differ, 50 connections, two workers and the load on both cores",
        without=(*_SINGLE, "ours, uncompiled"),
        workers=2,
    ),
    _json(),
    _replies(),
    *(
        _tail(connections, share, shown)
        for connections in (50, 200)
        for share, shown in ((0.5, "half"), (0.8, "four fifths"))
    ),
    _hello("hello-1", Load(1), "1 connection"),
    _hello("hello-200", Load(200), "200 connections"),
    _hello("hello-t10-c200", Load(200, threads=10), "wrk -t10 -c200"),
    Scenario(
        "headers-16",
        "Hello with 16 request headers, 50 connections",
        (*contenders_with("hello"), *LOOPS[:2]),
        Throughput(Load(50, headers=_BROWSER)),
        ("requests_per_second", "p50_ms", "p99_ms"),
        (Request("/", headers=_BROWSER),),
        pairs=BOTH,
    ),
    _echo("echo-1k", 1024, "1 KiB"),
    _echo("echo-100k", 102400, "100 KiB"),
    Scenario(
        "applications-asgi",
        "Hello of an ASGI application, 50 connections",
        (
            Contender("ours, ASGI", "ours", "asgi:hello", "async"),
            *(Contender(name, kind, app.format("hello"), side) for name, kind, app, side in PAGES[1:4]),
        ),
        Throughput(Load(50)),
        ("requests_per_second", "p50_ms", "p99_ms"),
    ),
    Scenario(
        "applications-wsgi",
        "Hello of a WSGI application, 40 threads, 50 connections",
        (
            Contender("ours, WSGI", "ours", "wsgi:hello", "sync"),
            Contender("granian WSGI", "granian wsgi", "wsgi:hello", "sync"),
            Contender("gunicorn gthread", "gunicorn gthread", "wsgi:hello", "sync"),
            Contender("a2wsgi on uvicorn", "uvicorn", "wrapped:hello", "sync"),
        ),
        Throughput(Load(50)),
        ("requests_per_second", "p50_ms", "p99_ms"),
    ),
    Scenario(
        "applications-django",
        "A Django view with one query (SQLite), 40 threads, 50 connections",
        (
            Contender("ours, WSGI", "ours, django", "django_page:wsgi", "sync"),
            Contender("ours, ASGI", "ours, django", "django_page:asgi", "async"),
            Contender("gunicorn gthread", "gunicorn gthread, django", "django_page:wsgi", "sync"),
            Contender("uvicorn, ASGI", "uvicorn, django", "django_page:asgi", "async"),
        ),
        Throughput(Load(50)),
        ("requests_per_second", "p50_ms", "p99_ms"),
        pairs=(("ours, WSGI", "uvicorn, ASGI"),),
    ),
    Scenario(
        "wait-10ms",
        "A wait of 10 ms, 40 threads, 64 connections",
        contenders_with("wait_10"),
        Throughput(Load(64)),
        ("requests_per_second", "p50_ms", "p99_ms"),
    ),
    Scenario(
        "view",
        "A typical view: 9 ms of waiting, 1 ms of computing, 40 threads, 64 connections",
        contenders_with("typical"),
        Throughput(Load(64)),
        ("requests_per_second", "p50_ms", "p99_ms"),
        pairs=BOTH,
    ),
    Scenario(
        "stream",
        "A stream of 160 chunks of 64 KiB, 4 connections",
        contenders_with("stream"),
        Throughput(Load(4), _STREAM_BYTES),
        ("mib_per_second",),
        (Request(answer=b"x" * _STREAM_BYTES),),
        pairs=BOTH,
    ),
    Scenario(
        "stream-slow",
        "The same stream to 16 clients that read 1 MiB/s",
        contenders_with("stream"),
        SlowReaders(16, _MIB),
        ("kib_per_stream", "resident_mib"),
        (Request(answer=b"x" * _STREAM_BYTES),),
        pairs=BOTH,
        is_fresh=True,
    ),
    Scenario(
        "upload",
        "Uploads of 4 MiB, 4 connections",
        (
            *contenders_with("upload", STARLETTE),
            Contender("ours, sync, collected first", "ours", "consumers:upload_collected", "sync"),
        ),
        Throughput(Load(4, body_bytes=_UPLOAD_BYTES), _UPLOAD_BYTES),
        ("mib_per_second",),
        (Request("/", "POST", body=b"x" * _UPLOAD_BYTES, answer=b"%d" % _UPLOAD_BYTES),),
        pairs=BOTH,
    ),
    _beside("beside-nothing", "an idle pool"),
    _beside("beside-wait10", "64 clients that wait 10 ms", _pool("/wait10")),
    _beside("beside-compute1", "64 clients that compute 1 ms", _pool("/compute1")),
    _beside("beside-compute5", "64 clients that compute 5 ms", _pool("/compute5")),
    _beside("beside-compute20", "64 clients that compute 20 ms", _pool("/compute20"), warm_up=2.0),
    _beside("beside-view", "64 clients of the typical view", _pool("/view")),
    _beside("beside-hash", "64 clients that hash 5 ms in C", _pool("/hash")),
    _beside("beside-half", "64 clients that wait 5 ms and compute 5 ms", _pool("/half")),
    _beside("beside-mixture", "32 clients that wait 10 ms and 32 that compute 5 ms", *_MIXTURE),
    _beside("beside-two-pools", "the same mixture, computing in a pool of its own", *_MIXTURE, contenders=TWO_POOLS),
    Scenario(
        "idle-memory",
        "Memory of an idle connection, 2,000 of them",
        contenders_with("hello"),
        IdleMemory(2000),
        ("kib_per_connection", "resident_mib"),
        is_fresh=True,
        is_idle=True,
    ),
    Scenario(
        "start-up",
        "From the start of the command to the first answer",
        contenders_with("hello"),
        start_up,
        ("seconds", "resident_mib"),
        rounds=5,
        is_fresh=True,
    ),
    *FRAMEWORKS,
    *HOSTILE,
)
SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in _ALL}


def choose(names: list[str]) -> list[Scenario]:
    """Return the scenarios of these names; "hello" means all that begin with it, "all" all.

    Raises: ValueError that lists what there is.
    """
    chosen: list[Scenario] = []
    for name in names:
        is_meant: Callable[[str], bool] = (
            (lambda _: True) if name == "all" else name.__eq__ if name in SCENARIOS else _begins(name)
        )
        found = [scenario for scenario in _ALL if is_meant(scenario.name)]
        if not found:
            raise ValueError(f"no scenario {name!r}; there are: all, {', '.join(SCENARIOS)}")
        chosen += [scenario for scenario in found if scenario not in chosen]
    return chosen


def _begins(name: str) -> Callable[[str], bool]:
    return lambda known: known.startswith(f"{name}-")
