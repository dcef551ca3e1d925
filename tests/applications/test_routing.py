"""Which consumer gets a message, and what can be served at all."""

import functools

import pytest

from uvicorn.applications.mounting import as_application, mount
from uvicorn.applications.router import Router, SingleConsumer
from uvicorn.applications.routes import Route
from uvicorn.applications.routing import route
from uvicorn.bridge.consumer import Consumer
from uvicorn.errors import ConsumerError


def home(message):
    pass


def reports(message):
    pass


def left(message):
    pass


async def live(message):
    pass


REQUEST = "http.request"

ROUTER = Router(
    [
        route(REQUEST, reports, path=r"^/reports/"),
        route(REQUEST, live, path=r"\.live$"),
        route("http.disconnect", left, path=r"^/reports/"),
        route(REQUEST, home, path=r"^/$"),
    ]
)


@pytest.mark.parametrize(
    ("channel", "path", "found"),
    [
        (REQUEST, "/", home),
        (REQUEST, "/reports/1", reports),
        (REQUEST, "/reports/x.live", reports),
        (REQUEST, "/deep/x.live", live),
        (REQUEST, "/caf\xe9.live", live),
        (REQUEST, "/x.live\n", live),
        (REQUEST, "/x.live/more", None),
        (REQUEST, "/else", None),
        (REQUEST, "", None),
        (REQUEST, "/my/reports/", None),
        ("http.disconnect", "/reports/1", left),
        ("http.disconnect", "/", None),
        ("websocket.connect", "/", None),
    ],
)
def test_the_first_route_that_matches_wins(channel, path, found):
    consumer = ROUTER.find(channel, path)
    assert (consumer.call if consumer is not None else None) is found


def test_a_pattern_is_searched_for_anywhere_in_the_path():
    assert Router([route(REQUEST, home, path="needle")]).find(REQUEST, "/hay/needle/hay").call is home


def test_a_route_without_a_path_matches_every_path():
    router = Router([route(REQUEST, home)])
    assert [router.find(REQUEST, path).call for path in ("/", "", "/a/b")] == [home] * 3


def test_a_route_that_matches_nothing_later_in_the_list_is_never_asked():
    router = Router([route(REQUEST, home), route(REQUEST, reports, path="^/reports/")])
    assert router.find(REQUEST, "/reports/").call is home


def test_a_router_tells_all_its_consumers():
    assert [consumer.call for consumer in ROUTER.consumers()] == [reports, live, left, home]


def test_a_router_has_no_consumer_that_serves_everything():
    assert ROUTER.only is None


def test_a_router_cannot_be_called_though_gunicorn_asks_that_it_looks_so():
    assert callable(ROUTER)
    with pytest.raises(ConsumerError, match="cannot be called"):
        ROUTER({})


def test_the_side_of_a_consumer_is_decided_when_it_is_routed():
    assert [consumer.is_async for consumer in ROUTER.consumers()] == [False, True, False, False]


@pytest.mark.parametrize(("body", "streams"), [(None, False), ("stream", True), ("collect", False)])
def test_a_route_says_how_a_synchronous_consumer_gets_its_body(body, streams):
    assert route(REQUEST, home, body=body).consumer.streams_body is streams


def test_repr_of_a_route_tells_channel_consumer_and_path():
    assert repr(route(REQUEST, home, path="^/$")) == f"<Route http.request -> {__name__}.home, path='^/$'>"
    assert repr(route("http.disconnect", left)) == f"<Route http.disconnect -> {__name__}.left>"


@pytest.mark.parametrize("channel", ["websocket.send", "http", "", None])
def test_a_channel_without_messages_is_refused(channel):
    with pytest.raises(ConsumerError, match=r"http\.request, http\.disconnect, websocket\.connect, "):
        as_application(route(channel, home))


@pytest.mark.parametrize("path", ["(", "*", 7])
def test_a_path_that_is_no_regular_expression_is_refused_and_shown(path):
    with pytest.raises(ConsumerError, match="not a regular expression") as caught:
        as_application(route(REQUEST, home, path=path))
    assert repr(path) in str(caught.value)


def test_a_consumer_that_is_none_is_refused():
    with pytest.raises(ConsumerError, match="not callable"):
        as_application(route(REQUEST, None))


def test_a_route_to_a_router_is_refused_when_it_is_made():
    with pytest.raises(ConsumerError, match=r"use include\(...\) or mount"):
        as_application(route(REQUEST, ROUTER))


def test_an_empty_list_of_routes_is_refused():
    with pytest.raises(ConsumerError, match="empty"):
        as_application(Router([]))


def test_an_entry_that_is_no_route_is_refused_by_number():
    with pytest.raises(ConsumerError, match="entry 1 of the list"):
        as_application(Router([route(REQUEST, home), ("http.request", reports)]))


# ---- applications ----


@pytest.mark.parametrize(
    "loaded", [[route(REQUEST, home)], (route(REQUEST, home),), route(REQUEST, home), Router([route(REQUEST, home)])]
)
def test_routes_in_each_shape_make_a_router(loaded):
    application = as_application(loaded)
    assert isinstance(application, Router)
    assert application.find(REQUEST, "/").call is home


@pytest.mark.parametrize("loaded", [home, live, functools.partial(home)])
def test_a_callable_makes_an_application_of_one_consumer(loaded):
    application = as_application(loaded)
    assert isinstance(application, SingleConsumer)
    assert application.only.call is loaded
    assert application.find(REQUEST, "/any") is application.only
    assert application.find("http.disconnect", "/any") is None
    assert application.consumers() == [application.only]


def test_an_application_is_left_as_it_is():
    application = SingleConsumer(Consumer(home))
    assert as_application(application) is application
    assert as_application(ROUTER) is ROUTER


@pytest.mark.parametrize(
    "loaded", [None, 1, "module:name", {}, [], [home]], ids=lambda it: f"{type(it).__name__} {bool(it)}"
)
def test_anything_else_is_refused(loaded):
    with pytest.raises(ConsumerError):
        as_application(loaded)


def test_a_route_is_made_by_the_public_name():
    import uvicorn

    assert uvicorn.route is route
    assert uvicorn.Router is Router
    assert isinstance(route(REQUEST, home), Route)


def test_a_consumer_says_that_it_runs_long_and_its_route_has_the_last_word():
    import uvicorn

    @uvicorn.runs_long
    def export(message):
        pass

    def long_of(entry):
        [consumer] = Router([entry]).consumers()
        return consumer.is_long

    assert long_of(route(REQUEST, export))
    assert long_of(route(REQUEST, functools.partial(export)))
    assert not long_of(route(REQUEST, export, long=False))
    assert not long_of(route(REQUEST, home))
    assert long_of(route(REQUEST, home, long=True))
    assert long_of(mount("/exports", home, long=True))
    assert long_of(mount("/exports", [route(REQUEST, export)]))
