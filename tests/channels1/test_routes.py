"""Routes in the shapes of Channels 1: what they match, how the server finds their consumers, and what is refused."""

import pytest

from uvicorn import include as house_include
from uvicorn import mount
from uvicorn.applications.mounting import as_application
from uvicorn.channels1.message import Message
from uvicorn.channels1.routing import (
    Include,
    Route,
    RouteClass,
    Router,
    RoutingError,
    connect_consumer,
    include,
    null_consumer,
    route,
    route_class,
)
from uvicorn.errors import ConsumerError, RouteError


def consumer(message, **groups):
    pass


def other(message):
    pass


async def on_loop(message):
    pass


listed = [route("websocket.connect", consumer)]


class Both:
    method_mapping = {"http.request": "plain", "mail": "on_loop"}

    def __init__(self, message, **groups):
        pass

    @classmethod
    def channel_names(cls):
        return set(cls.method_mapping)

    def plain(self, message):
        pass

    async def on_loop(self, message):
        pass


def match(router, channel, **content):
    return router.match(Message(content, channel))


# ---- matching ----


@pytest.mark.parametrize(
    ("patterns", "content", "groups"),
    [
        ({}, {}, {}),
        ({"path": "/a"}, {"path": "/a/b"}, {}),  # from the start, not to the end
        ({"path": "/a"}, {"path": "/b/a"}, None),
        ({"path": b"^/(?P<name>\\w+)$"}, {"path": "/a"}, {"name": "a"}),
        ({"path": r"^/(?P<one>a)?(?P<two>b)?$"}, {"path": "/b"}, {"one": None, "two": "b"}),
        ({"path": "^/", "method": "GET"}, {"path": "/", "method": "GET"}, {}),
        ({"path": "^/", "method": "GET"}, {"path": "/"}, None),
        ({"query_string": "a="}, {"query_string": b"a=1\xff"}, {}),
        ({"order": "^[12]$"}, {"order": 2}, {}),
        ({"text": "^hello"}, {"text": None}, None),
        ({"command": "^(?P<what>join|leave)$"}, {"command": "join"}, {"what": "join"}),
    ],
)
def test_patterns_match_from_the_start_of_any_key(patterns, content, groups):
    found = match(Router([route("a", consumer, **patterns)]), "a", **content)
    assert found == (None if groups is None else (consumer, groups))


@pytest.mark.parametrize(
    ("routing", "channels"),
    [
        ([route("a", consumer)], {"a"}),
        ([route(b"a", consumer)], {"a"}),
        ([route(["a", b"b"], consumer)], {"a", "b"}),
        ({"a": consumer, b"b": f"{__name__}.consumer"}, {"a", "b"}),
        (f"{__name__}.listed", {"websocket.connect"}),
        ([include(listed), include({"a": consumer})], {"websocket.connect", "a"}),
        ([route_class(Both)], {"http.request", "mail"}),
        ([], set()),
    ],
)
def test_shapes_of_a_list_of_routes(routing, channels):
    router = Router(routing)
    assert router.channels == channels
    assert all(match(router, channel) is not None for channel in channels)
    assert match(router, "nowhere") is None


def test_an_include_takes_off_what_it_matched_of_any_key():
    inside = [route("a", consumer, path="^/in/(?P<one>.)$", text="^now"), route("a", other, path="^$")]
    router = Router([include(inside, path=b"^/(?P<two>out)", text="^then ")])
    assert match(router, "a", path="/out/in/x", text="then now") == (consumer, {"one": "x", "two": "out"})
    assert match(router, "a", path="/out", text="then") is None
    assert match(router, "a", path="/out", text="then ") == (other, {"two": "out"})
    assert match(router, "a", path="/in/x", text="then now") is None


def test_a_message_is_not_changed_by_matching():
    message = Message({"path": "/out/in"}, "a")
    Router([include([route("a", consumer, path="^/in")], path="^/out")]).match(message)
    assert message.content == {"path": "/out/in"}


def test_a_route_is_added_at_the_end():
    router = Router([route("a", consumer)])
    router.add_route(route(["a", "b"], other))
    assert (router.channels, match(router, "a")[0], match(router, "b")[0]) == ({"a", "b"}, consumer, other)


def test_the_first_route_wins():
    router = Router([route("a", consumer, kind="^x"), route("a", other), route("a", consumer)])
    assert [match(router, "a", kind=kind)[0] for kind in "xy"] == [consumer, other]


def test_names_and_what_they_say():
    assert (route, route_class, include) == (Route, RouteClass, Include)
    assert repr(route(["a", "b"], consumer, path="^/")) == f"<Route a/b, path=^/ -> {__name__}.consumer>"
    assert repr(include(listed)) == "<Include of 1 entries>"
    assert Router.normalise_re_arg(b"a") == Router.normalise_re_arg("a") == "a"
    assert null_consumer(1, a=2) is None
    assert callable(connect_consumer)


# ---- what is refused ----


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: route("a", consumer, path="^/(a)"), r"write \(\?P<name>...\)"),
        (lambda: route("a", consumer, path="("), "no regular expression"),
        (lambda: route("a", consumer, path=7), "no regular expression"),
        (lambda: include([], path="("), "no regular expression"),
        (lambda: route("a b", consumer), "no name of a channel: ASCII letters"),
        (lambda: route("x" * 100, consumer), "no name of a channel"),
        (lambda: route([7], consumer), "no name of a channel"),
        (lambda: route("a", 7), "cannot be called"),
        (lambda: route("a", "consumer"), "no dotted name"),
        (lambda: route("a", f"{__name__}.nothing"), "there is no 'nothing'"),
        (lambda: route_class(consumer), r"has no channel_names\(\)"),
        (lambda: include(7), "no list of routes"),
        (lambda: include([7]), "cannot stand in an include"),
        (lambda: include([mount("/", consumer)]), "cannot stand in an include"),
        (lambda: Router("nothing"), "no dotted name"),
    ],
)
def test_what_cannot_be_is_refused_with_file_and_line(make, told):
    with pytest.raises(ValueError, match=told) as refused:
        make()
    assert isinstance(refused.value, RoutingError)
    assert str(refused.value).partition(": ")[0] == f"{__file__}:{make.__code__.co_firstlineno}" or "tests/" in str(
        refused.value
    )


def test_a_module_that_is_not_there_is_python_s_own_error():
    with pytest.raises(ModuleNotFoundError):
        route("a", "not.there.consumer")


def needs_more(message, number):
    pass


def test_consumers_that_do_not_fit_their_route_are_refused_at_the_start_all_together():
    routes = [
        route("a", needs_more),
        include([route("b", other, path="^(?P<x>.)")]),
        include([route("c", other)], path="^(?P<x>.)"),
        route("d", consumer, path="^(?P<x>.)"),
    ]
    with pytest.raises(RouteError) as refused:
        as_application(routes)
    first, second, third = refused.value.mistakes
    assert "requires number" in first.text
    assert "does not take the named group 'x'" in second.text
    assert second.text == third.text
    assert all("test_routes.py:" in mistake.place for mistake in (first, second, third))


# ---- in the server's own list ----


def found(application, channel, path="/", **content):
    made = application.find(channel, path, {"path": path, **content})
    return made and made.target


def test_routes_of_both_kinds_stand_in_one_list():
    routes = [route("http.request", consumer, path="^/old"), mount("/new", other), route("http.request", on_loop)]
    application = as_application(routes, is_whole=True)
    assert [found(application, "http.request", path) for path in ("/old/a", "/new/a", "/a")] == [
        consumer,
        other,
        on_loop,
    ]
    assert found(application, "websocket.connect") is None


@pytest.mark.parametrize("make", [lambda routes: routes, tuple, Router, lambda routes: routes[0], include])
def test_a_list_is_served_in_any_shape(make):
    application = as_application(make([route("http.request", consumer)]), is_whole=True)
    assert found(application, "http.request") is consumer


def test_a_dict_is_served():
    application = as_application({"http.request": consumer}, is_whole=True)
    assert found(application, "http.request") is consumer


def test_a_dict_with_a_mistake_is_refused_in_one_sentence():
    with pytest.raises(ConsumerError, match="'a b' is no name of a channel"):
        as_application({"a b": consumer}, is_whole=True)


def test_routes_below_a_mount_and_an_include():
    routes = [mount("/site", [house_include([route("http.request", consumer, path="^/a")], path="^/x")])]
    application = as_application(routes)
    assert found(application, "http.request", "/site/x/a") is consumer
    assert found(application, "http.request", "/site/a") is None


def test_thread_or_loop_is_found_out_for_each_method_of_a_class():
    application = as_application([route_class(Both), route("loop", on_loop)])
    sides = {name: [made.is_async for made in consumers] for name, consumers in application.channels().items()}
    assert sides == {"mail": [True], "loop": [True]}
    assert application.find("http.request", "/", {}).is_async is False


def test_anything_that_matches_can_stand_among_routes():
    class Mine:
        def match(self, message):
            return (consumer, {"a": message["path"]}) if message.channel.name == "http.request" else None

        def channel_names(self):
            return {"http.request"}

    application = as_application([include([Mine()])])
    assert found(application, "http.request") is consumer
    assert application.by_content


@pytest.mark.parametrize(
    ("routes", "by_content"),
    [
        ([route("websocket.receive", consumer, path="^/")], False),
        ([route("websocket.receive", consumer, text="^/")], True),
        ([route("http.request", consumer, method="GET")], False),
        ([route("mail", consumer, kind="a")], False),
        ([include([route("websocket.receive", consumer)], order="1")], True),
        ([mount("/", [route("websocket.disconnect", consumer, code="1")])], True),
        ([mount("/", other)], False),
    ],
)
def test_messages_of_sockets_are_looked_at_where_a_pattern_asks_for_it(routes, by_content):
    assert as_application(routes).by_content is by_content
