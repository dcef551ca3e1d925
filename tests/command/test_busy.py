"""`limit_concurrency`: what is refused, and what is not."""

import pytest

from uvicorn.applications.mounting import as_application
from uvicorn.applications.routing import route
from uvicorn.command.busy import ConcurrencyLimit


def consumer(message):
    pass


@pytest.mark.parametrize("channel", ["http.request", "websocket.connect"])
def test_what_opens_is_refused_past_the_limit(channel):
    limit = ConcurrencyLimit(as_application(consumer), 2)
    limit.count = lambda: 2
    assert limit.find(channel, "/").target is consumer
    limit.count = lambda: 3
    assert limit.find(channel, "/").target is not consumer


def test_sockets_that_are_open_go_on():
    limit = ConcurrencyLimit(as_application(consumer), 2)
    limit.count = lambda: 3
    assert limit.find("websocket.receive", "/").target is consumer


def test_disconnects_go_to_routes_as_without_a_limit():
    assert ConcurrencyLimit(as_application(consumer), 2).find("http.disconnect", "/") is None
    routes = as_application([route("http.disconnect", consumer)])
    assert ConcurrencyLimit(routes, 2).find("http.disconnect", "/").target is consumer
