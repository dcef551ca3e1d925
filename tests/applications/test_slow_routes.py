"""Consumers and routes that are declared slow: who is, whatever wraps it."""

from __future__ import annotations

import functools

import pytest

from uvicorn import asgi, consumer, include, mount, route, streams_slowly, wsgi
from uvicorn.applications.mounting import as_application
from uvicorn.errors import RouteError


def plain(message):
    pass


@streams_slowly
def marked(message):
    pass


@streams_slowly
async def marked_async(message):
    pass


@streams_slowly
def marked_wsgi(environ, start_response):
    pass


@streams_slowly
async def marked_asgi(scope, receive, send):
    pass


@pytest.mark.parametrize(
    ("given", "is_slow"),
    [
        (plain, False),
        (marked, True),
        (marked_async, True),
        (functools.partial(marked), True),
        (consumer(marked), True),
        (marked_wsgi, True),
        (wsgi(marked_wsgi), True),
        (marked_asgi, True),
        (asgi(marked_asgi), True),
        (wsgi(lambda environ, start_response: None), False),
    ],
)
def test_the_mark_is_seen_at_every_kind_of_application(given, is_slow):
    assert [one.is_slow for one in as_application(given).consumers()] == [is_slow]


def test_streams_slowly_gives_back_what_it_marks_and_leaves_the_body_alone():
    assert streams_slowly(plain) is plain
    del plain._uvicorn_streams_slowly  # type: ignore[attr-defined]
    assert not consumer(marked).streams_body


@pytest.mark.parametrize(("call", "slow", "is_slow"), [
    (plain, None, False), (plain, True, True), (plain, False, False), (marked, None, True), (marked, False, False),
])  # fmt: skip
def test_what_a_route_or_a_mount_says_goes_before_the_mark(call, slow, is_slow):
    assert route("http.request", call, slow=slow).consumer.is_slow is is_slow
    [mounted] = mount("/a", call, slow=slow).application.consumers()
    assert mounted.is_slow is is_slow


def test_a_declaration_holds_below_an_include_a_mount_and_with_named_groups():
    def grouped(message, name):
        pass

    routes = [mount("/b", [include([route("http.request", grouped, path="/(?P<name>.)", slow=True)])])]
    found = as_application(routes).find("http.request", "/b/x", {"root_path": ""})
    assert found.is_slow


@pytest.mark.parametrize("slow", [1, "yes", 0])
def test_another_word_for_slow_is_a_mistake(slow):
    for entry in (route("http.request", plain, slow=slow), mount("/a", plain, slow=slow)):
        with pytest.raises(RouteError, match="slow must be True or False"):
            as_application([entry])
