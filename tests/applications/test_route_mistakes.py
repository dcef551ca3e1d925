"""Mistakes in lists of routes are found at start, and each is named with its place; the sizes of pools."""

import sys

import pytest
from route_consumers import REQUEST, no_groups, say, say_async, service, year_only

from uvicorn import Router, asgi, include, mount, route, route_class, wsgi
from uvicorn.applications.mounting import as_application
from uvicorn.errors import ConsumerError, RouteError


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: route(REQUEST, no_groups, path=r"^/(?P<year>\d+)$"), "does not take the named group 'year'"),
        (lambda: include([route(REQUEST, year_only)], path="(?P<lang>..)"), "does not take the named group 'lang'"),
        (lambda: as_application([route(REQUEST, year_only)]), "year_only requires year, which no named group"),
        (lambda: route(REQUEST, say, pth="^/$"), "pattern for 'pth'"),
        (lambda: include([route(REQUEST, say)], host="a"), "pattern for 'host'"),
        (lambda: route(REQUEST, say, method="("), "method '(' of a route to"),
        (lambda: route(REQUEST, say, method=b"GET"), "not a regular expression"),
        (lambda: route(REQUEST, "nowhere_at_all.say"), "there is no module 'nowhere_at_all'"),
        (lambda: route(REQUEST, "sys.nowhere_at_all"), "there is no 'nowhere_at_all' in 'sys'"),
        (lambda: route(REQUEST, "say"), "is no dotted name"),
        (lambda: route(REQUEST, mount("/a", say)), "use include(...) or mount(...)"),
        (lambda: mount("api", say), "must begin with '/', not 'api'"),
        (lambda: mount("/api", []), "list of routes is empty"),
        (lambda: mount("/api", None), "not callable"),
        (lambda: include([say, 7]), "entry 0 of the list of routes is"),
        (lambda: include([say, 7]), "entry 1 of the list of routes is 7"),
        (lambda: route(REQUEST, say, pool="a b", threads=1), "the name of a pool must be of letters"),
        (lambda: route(REQUEST, say, threads=1), "the name of a pool must be of letters"),
        (lambda: route(REQUEST, say, pool="a", threads=0), "threads must be a number, 1 or more, not 0"),
        (lambda: route(REQUEST, say_async, pool="a", threads=1), "it is asynchronous"),
        (lambda: route(REQUEST, say_async, long=True), "it is asynchronous: it takes no thread"),
        (lambda: route(REQUEST, say, long="yes"), "long must be True or False, not 'yes'"),
        (lambda: mount("/a", [route(REQUEST, say_async)], long=True), "none of its consumers is synchronous"),
        (lambda: mount("/a", [route(REQUEST, say_async)], pool="a", threads=1), "none of its consumers is synchronous"),
        (lambda: Router([route(REQUEST, say, pool="a")]).pools(), "pool 'a' has no size"),
        (lambda: route_class(say), "no method_mapping"),
        (lambda: Router([route(REQUEST, say)], on_startup=7), "on_startup must be a callable"),
        (lambda: Router([route(REQUEST, say)], on_shutdown=[say]), "must be callable without arguments"),
    ],
)  # fmt: skip
def test_a_mistake_is_found_when_the_list_is_served_and_named(make, sentence):
    with pytest.raises(ConsumerError) as caught:
        as_application(make(), is_whole=True)
    assert sentence in str(caught.value)


def test_all_mistakes_are_named_at_once_each_with_its_place():
    line = sys._getframe().f_lineno
    inner = [
        route(REQUEST, say, path="("),
        mount("api", 7),
    ]
    routes = [
        include(inner, host="a"),
        route(REQUEST, no_groups, path=r"^/(?P<year>\d+)$", pth="x", pool="a b"),
        mount("/list", [route("http", "nowhere_at_all.say", method="*"), 7]),
        include(inner, path="^/again"),
        route(REQUEST, year_only),
        route(REQUEST, say, pool="a", threads=2),
        route(REQUEST, say, pool="a", threads=3),
    ]
    with pytest.raises(RouteError) as caught:
        as_application(Router(routes, on_startup=7), is_whole=True)
    first, *lines = str(caught.value).splitlines()
    assert first == f"{len(lines)} mistakes"
    places = [int(place) - line if (place := text.partition(".py:")[2].partition(":")[0]) else None for text in lines]
    expected = [
        (6, "an include has a pattern for 'host'"), (2, "path '(' of a route to"), (3, "the prefix of a mount must"),
        (3, "not callable"), (7, "has a pattern for 'pth'"), (7, "the name of a pool must be of letters"),
        (8, "no messages come from 'http'"), (8, "method '*' of a route to"), (8, "no module 'nowhere_at_all'"),
        (8, "entry 1 of the list of routes is 7"), (None, "on_startup must be a callable"),
        (None, "year_only requires year"), (None, "pool 'a' has different sizes: 2, 3 threads"),
    ]  # fmt: skip
    assert [(place, text) for place, (_, text) in zip(places, expected, strict=True)] == expected
    for text, (_, sentence) in zip(lines, expected, strict=True):
        assert sentence in text


def test_what_could_not_be_made_says_so_when_it_is_used():
    made = route(REQUEST, say, path="(")
    assert "is not a regular expression" in repr(made)
    for use in (lambda: made.consumer, lambda: as_application(route(REQUEST, made))):
        with pytest.raises(ConsumerError, match=r"regular expression|leads to one consumer"):
            use()
    with pytest.raises(RouteError, match=r"not a regular"):
        Router([made]).find(REQUEST, "/")


def test_a_pool_whose_size_may_be_said_by_a_mistaken_entry_is_no_mistake_more():
    routes = [route(REQUEST, say, pool="a"), route(REQUEST, say, path="(", pool="a", threads=2)]
    with pytest.raises(RouteError) as caught:
        as_application(routes, is_whole=True)
    assert len(caught.value.mistakes) == 1


def test_every_mistake_about_pools_is_named():
    router = Router(
        [
            route(REQUEST, say, pool="a"),
            mount("/b", wsgi(lambda environ, start: []), pool="b", threads=2),
            include([route(REQUEST, say, pool="b", threads=3)]),
        ]
    )
    with pytest.raises(ConsumerError) as caught:
        router.pools()
    assert "pool 'a' has no size" in str(caught.value)
    assert "pool 'b' has different sizes: 2, 3 threads" in str(caught.value)


def test_pools_are_shared_by_name():
    router = Router(
        [
            mount("/a", wsgi(lambda environ, start: []), pool="slow", threads=2),
            mount("/b", [route(REQUEST, say), route(REQUEST, say_async)], pool="slow"),
            mount("/c", asgi(service), pool="other", threads=1),
            route(REQUEST, say),
        ]
    )
    assert router.pools() == {"slow": 2, "other": 1}
    assert [consumer.pool_name for consumer in router.consumers()] == ["slow", "slow", None, "other", None]
