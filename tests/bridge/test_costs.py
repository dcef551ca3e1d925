"""What calls of one function cost: found through what frameworks wrap around it."""

import contextlib
import functools
import os

import pytest
from asgiref.sync import SyncToAsync
from starlette.concurrency import _next

from uvicorn import runs_long
from uvicorn.bridge import costs
from uvicorn.bridge.costs import cost_of


def endpoint():
    """Be handed to a thread."""


class Things:
    def method(self):
        """Be handed to a thread."""

    def __call__(self):
        """Be handed to a thread."""

    def close(self):
        """Let go."""


@contextlib.contextmanager
def session():
    yield


def rows():
    yield 1


def _run_sync_endpoint(*, function, arguments):
    """Be FastAPI's runner of an endpoint."""


def decorated(function):
    """Be a decorator that says what it wraps, as Django's and most others."""

    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)

    return wrapper


def decorated_silently(function):
    def wrapper(*args):
        return function(*args)

    return wrapper


WRAPPED = {
    "as it is": (endpoint, ()),
    "decorator": (decorated(decorated(endpoint)), ()),
    "decorator in sync_to_async": (SyncToAsync(decorated(endpoint)).thread_handler, ()),
    "partial": (functools.partial(functools.partial(endpoint, 1), 2), ()),  # type: ignore[call-arg]  # never called
    "FastAPI's runner": (functools.partial(_run_sync_endpoint, function=endpoint, arguments={}), ()),
    "asyncio.to_thread": (functools.partial(__import__("contextvars").Context().run, endpoint), ()),
    "sync_to_async": (functools.partial(SyncToAsync(endpoint).thread_handler, None, None), ()),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_the_function_behind_what_a_framework_hands_over_is_known(name):
    cost = cost_of(*WRAPPED[name])
    assert cost is cost_of(endpoint)
    assert cost.name == f"{__name__}.endpoint"


def test_functions_that_a_decorator_has_made_are_known_apart():
    first, second = decorated_silently(endpoint), decorated_silently(Things.method)
    assert cost_of(first) is not cost_of(second)
    assert cost_of(first) is cost_of(decorated_silently(endpoint))

    def empty():
        return later

    assert cost_of(empty) is cost_of(empty)
    later = 1


def test_what_is_said_to_run_long_is_so_behind_a_decorator():
    assert cost_of(decorated(runs_long(lambda: None))).is_long
    assert cost_of(runs_long(decorated(lambda: 1))).is_long


def test_functions_that_are_made_anew_share_what_is_known():
    def make():
        return lambda: None

    assert cost_of(make()) is cost_of(make())
    assert cost_of(Things().method) is cost_of(Things().method)
    assert cost_of(Things()) is cost_of(Things())
    assert cost_of(Things().method) is not cost_of(Things())
    assert cost_of(os.stat) is not cost_of(os.listdir)


def test_generators_and_context_managers_are_told_apart_by_their_code():
    first, other = session(), contextlib.contextmanager(rows)()
    assert cost_of(first.__enter__) is cost_of(session().__enter__)
    assert cost_of(first.__enter__) is not cost_of(other.__enter__)
    assert cost_of(first.__enter__) is not cost_of(first.__exit__)
    assert cost_of(first.__exit__).name == "session (__exit__)"
    assert cost_of(_next, (rows(),)).name == "rows (next)"
    assert cost_of(_next, (rows(),)) is cost_of(_next, (rows(),))


def test_exits_and_long_functions_are_known():
    assert [cost_of(call).is_exit for call in (session().__exit__, Things().close, endpoint)] == [True, True, False]

    @runs_long
    def long():
        """Take any time."""

    assert cost_of(long).is_long
    assert not cost_of(endpoint).is_long


def test_the_table_has_a_bound(monkeypatch):
    monkeypatch.setattr(costs, "_MOST", 3)
    monkeypatch.setattr(costs, "_known", {})
    for number in range(10):
        cost_of(eval(f"lambda: {number}"))
    assert len(costs._known) == 3
