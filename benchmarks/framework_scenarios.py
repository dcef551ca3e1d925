"""The scenarios of frameworks: what they hand to threads, served by us and by the peers that serve ASGI."""

from __future__ import annotations

from benchmarks.checks import HELLO, Request
from benchmarks.load import Load
from benchmarks.measures import Beside, Crowd, Throughput
from benchmarks.scenario import Scenario
from benchmarks.servers import Contender

__all__ = ["FRAMEWORKS"]

_SERVERS = (  # name, kind
    ("ours", "ours, frameworks"),
    ("ours, their own threads", "ours, own threads"),
    ("uvicorn", "uvicorn, frameworks"),
    ("granian", "granian, frameworks"),
    ("hypercorn", "hypercorn, frameworks"),
)
_CLIENTS = 64
_LOADS = {  # name -> path, title
    "compute1": "that compute 1 ms",
    "compute5": "that compute 5 ms",
    "compute20": "that compute 20 ms",
    "wait10": "that wait 10 ms",
    "hash": "that hash 5 ms in C",
    "half": "that wait 5 ms and compute 5 ms",
}
_BESIDE = ("p50_ms", "p99_ms", "load_per_second")
_COST = ("cpu_us", "requests_per_second", "p50_ms", "p99_ms")


def _served(app: str) -> tuple[Contender, ...]:
    return tuple(Contender(name, kind, app, "async") for name, kind in _SERVERS)


def _cost(name: str, title: str, app: str, path: str) -> Scenario:
    return Scenario(
        f"frameworks-{name}",
        f"{title}, 50 connections",
        _served(app),
        Throughput(Load(50, path, is_varied=True)),
        _COST,
        (Request(path, answer=None),),
    )


def _beside(name: str, title: str, app: str, load: str) -> Scenario:
    path = f"/{load}"
    what = _LOADS.get(load, "in asyncio.to_thread, computing 5 ms")
    return Scenario(
        f"frameworks-{name}-beside-{load}",
        f"{title} beside {_CLIENTS} clients of plain functions {what}",
        _served(app),
        Beside((Crowd("load_per_second", _CLIENTS, path),), warm_up_seconds=2.0),
        _BESIDE,
        (HELLO, Request(path)),
        seconds=3,
    )


FRAMEWORKS = (
    _cost("fastapi-async", "FastAPI, an async def endpoint", "fastapi_page:app", "/items/7?wanted=x"),
    _cost("fastapi-def", "FastAPI, a def endpoint", "fastapi_page:plain_app", "/items/7?wanted=x"),
    _cost(
        "fastapi-async-dependencies",
        "FastAPI, an async def endpoint with a dependency of each kind",
        "fastapi_page:app",
        "/dependencies/7?wanted=x",
    ),
    _cost(
        "fastapi-def-dependencies",
        "FastAPI, a def endpoint with a dependency of each kind",
        "fastapi_page:plain_app",
        "/dependencies/7?wanted=x",
    ),
    _cost("starlette-async", "Starlette, an async def endpoint", "framework:mixed", "/"),
    _cost("starlette-def", "Starlette, a def endpoint", "framework:mixed", "/nothing"),
    _cost("django-async", "Django under ASGI, an asynchronous view with a query", "django_sides:asgi", "/page"),
    _cost("django-sync", "Django under ASGI, a synchronous view with a query", "django_sides:asgi", "/page-sync"),
    *(_beside("fastapi", "FastAPI's asynchronous page", "fastapi_page:app", load) for load in _LOADS),
    *(_beside("starlette", "Starlette's asynchronous page", "framework:mixed", load) for load in _LOADS),
    *(_beside("django", "Django's asynchronous view", "django_sides:asgi", load) for load in (*_LOADS, "to-thread")),
)
