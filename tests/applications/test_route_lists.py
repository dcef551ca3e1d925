"""Lists of routes: patterns of several keys, named groups, include, mount; mistakes found at start."""

import sys
import types

import pytest
from clients import Echo
from route_consumers import REQUEST, ask, say, say_async

from uvicorn import Router, include, mount, route, route_class

# ---- patterns and groups ----


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("/reports/2024", "|/reports/2024|year=2024"),
        ("/reports/2024/05", "|/reports/2024/05|month=05,year=2024"),
        ("/reports/x", 404),
        ("/reports/", 404),
    ],
)
def test_named_groups_reach_the_consumer(make_site, target, answer):
    routes = [route(REQUEST, say_async, path=r"^/reports/(?P<year>\d+)(?:/(?P<month>\d+))?$")]
    assert ask(make_site, routes, target) == answer


def test_named_groups_reach_a_consumer_in_a_thread(make_site):
    site = make_site([route(REQUEST, say, path=r"^/(?P<name>\w+)$")])
    client = site.connect()
    client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
    site.run_job(in_thread=True)
    assert client.responses()[0].body == b"|/x|name=x"


@pytest.mark.parametrize(
    ("key", "pattern", "hit", "miss"),
    [
        ("method", "^P(OS|U)T$", ("/", "POST"), ("/", "GET")),
        ("query_string", r"(^|&)v=2(&|$)", ("/?a=1&v=2", "GET"), ("/?v=20", "GET")),
        ("scheme", "^http$", ("/", "GET"), None),
        ("http_version", r"^1\.1$", ("/", "GET"), None),
        ("raw_path", "%2F", ("/a%2Fb", "GET"), ("/a/b", "GET")),
    ],
)
def test_a_pattern_may_be_for_another_key(make_site, key, pattern, hit, miss):
    routes = [route(REQUEST, say_async, **{key: pattern})]
    assert ask(make_site, routes, *hit) != 404
    if miss is not None:
        assert ask(make_site, routes, *miss) == 404


def test_groups_of_several_keys_come_together(make_site):
    routes = [route(REQUEST, say_async, path=r"^/(?P<page>\w+)$", query_string=r"v=(?P<version>\d)")]
    assert ask(make_site, routes, "/x?v=3") == "|/x|page=x,version=3"


def test_a_group_may_be_an_argument_that_the_consumer_requires(make_site):
    async def by_year(message, year):
        await say_async(message, year=year)

    pattern = r"^/(?P<year>\d+)"
    assert ask(make_site, [route(REQUEST, by_year, path=pattern)], "/7") == "|/7|year=7"
    assert ask(make_site, [include([route(REQUEST, by_year)], path=pattern)], "/7/x") == "|/7/x|year=7"


# ---- include ----


def test_included_routes_see_the_path_behind_the_match(make_site):
    chat = [route(REQUEST, say_async, path=r"^/room/(?P<room>\w+)$"), route(REQUEST, say_async, path="^/$")]
    routes = [include(chat, path=r"^/(?P<lang>en|de)/chat"), route(REQUEST, Echo(), path="^/last$")]
    assert ask(make_site, routes, "/de/chat/room/one") == "|/de/chat/room/one|lang=de,room=one"
    assert ask(make_site, routes, "/en/chat/") == "|/en/chat/|lang=en"
    assert ask(make_site, routes, "/en/chat/else") == 404
    assert ask(make_site, routes, "/last") == "GET /last "


def test_an_include_may_have_no_pattern_or_another_key(make_site):
    inner = [route(REQUEST, say_async, path="^/x$")]
    assert ask(make_site, [include(inner)], "/x") == "|/x|"
    routes = [include(inner, method="^PUT$")]
    assert ask(make_site, routes, "/x", "PUT") == "|/x|"
    assert ask(make_site, routes, "/x") == 404


def test_what_is_included_or_routed_to_may_be_named(make_site, monkeypatch):
    module = types.ModuleType("webshop_routing")
    module.routes = [route(REQUEST, say_async, path="^/x$")]  # type: ignore[attr-defined]
    module.say_async = say_async  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "webshop_routing", module)
    assert ask(make_site, [include("webshop_routing.routes")], "/x") == "|/x|"
    assert ask(make_site, [route(REQUEST, "webshop_routing.say_async")], "/y") == "|/y|"
    assert ask(make_site, [mount("/m", "webshop_routing:routes")], "/m/x") == "/m|/m/x|"


# ---- mount ----


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("/api", "/api|/api|"), ("/api/", "/api|/api/|"), ("/api/x/y", "/api|/api/x/y|"), ("/apix", "|/apix|"),
        ("/", "|/|"), ("/deep/er/x", "/deep/er|/deep/er/x|"), ("/deep/erx", "|/deep/erx|"),
        ("/list/x", "/list|/list/x|"), ("/list/7", "/list|/list/7|id=7"),
        ("/list/in/z", "/list/in|/list/in/z|"), ("/list/else", "|/list/else|"),
    ],
)  # fmt: skip
def test_a_mount_takes_what_is_below_its_prefix(make_site, target, answer):
    inner = [
        mount("/in", say_async),
        route(REQUEST, say_async, path="^/x$"),
        route(REQUEST, say_async, path=r"^/(?P<id>\d)$"),
    ]
    routes = [mount("/api/", say_async), mount("/deep/er", say_async), mount("/list", inner), mount("/", say_async)]
    assert ask(make_site, routes, target) == answer


def test_routes_match_below_the_root_path(make_site):
    routes = [route(REQUEST, say_async, path="^/x$"), mount("/m", say_async)]
    assert ask(make_site, routes, "/x", root_path="/site") == "/site|/x|"
    assert ask(make_site, routes, "/site/x", root_path="/site") == "/site|/site/x|"
    assert ask(make_site, routes, "/site/m/y", root_path="/site") == "/site/m|/site/m/y|"


def test_a_consumer_that_is_mounted_twice_knows_where(make_site):
    routes = [mount("/a", say_async), mount("/b", say_async)]
    assert ask(make_site, routes, "/a/x") == "/a|/a/x|"
    assert ask(make_site, routes, "/b/x") == "/b|/b/x|"


# ---- looking up ----


def test_the_first_match_wins_whether_or_not_it_begins_with_a_segment(make_site):
    consumers = [Echo() for _ in range(5)]
    patterns = [r"^/a/1$", r"/b$", r"^/a/", None, r"^/a$"]
    router = Router([route(REQUEST, made, path=path) for made, path in zip(consumers, patterns, strict=True)])
    found = {path: consumers.index(router.find(REQUEST, path).target) for path in ("/a/1", "/a/b", "/a/2", "/a", "/c")}
    assert found == {"/a/1": 0, "/a/b": 1, "/a/2": 2, "/a": 3, "/c": 3}


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        (r"^/a/?$", "/a"), (r"^/a/*b", "/ab"), (r"^/ab?/", "/a/"), (r"^/a|^/b/", "/x/a"), (r"^/a/|/b", "/c/b"),
        (r"(?i)^/a/", "/A/"), (r"^/a\.b/", "/a.b/"), (r"^/a$", "/a\n"), (r"^/a$", "/a"), (r"^/a/", "/a/\n"),
        (r"^/(?:a|b)/", "/b/"), (r"^/a{2}/", "/aa/"), ("^/caf\xe9/", "/caf\xe9/"), (r"^/\w/", "/z/"), ("^$", ""),
    ],
)  # fmt: skip
def test_the_index_finds_what_the_pattern_finds(pattern, path):
    import re

    decoy = [route(REQUEST, Echo(), path=f"^/{name}/decoy$") for name in ("a", "b", "aa", "c", "x")]
    router = Router([*decoy, route(REQUEST, say, path=pattern)])
    assert (router.find(REQUEST, path) is not None) == (re.search(pattern, path) is not None)
    if path.startswith("/x"):
        return
    assert router.find(REQUEST, path) is not None


def test_of_500_routes_few_are_tried():
    router = Router([route(REQUEST, say, path=f"^/part{number}/x$") for number in range(500)])
    assert len(router._tables[REQUEST].candidates("/part499/x")) == 1
    assert router.find(REQUEST, "/part499/x") is router.entries[499].consumer
    assert router.find(REQUEST, "/else") is None


# ---- classes ----


class Reports:
    method_mapping = {REQUEST: "request"}

    def __init__(self, message, **groups):
        self.message, self.groups = message, groups

    def dispatch(self, message, **groups):
        return getattr(self, self.method_mapping[message.channel.name])(message, **groups)

    async def request(self, message, **groups):
        assert self.groups == groups
        say(self.message, **groups)


class SyncReports(Reports):
    def request(self, message, **groups):
        say(message)


def test_a_class_based_consumer_is_routed_by_its_methods(make_site):
    assert ask(make_site, [route_class(Reports, path=r"^/(?P<year>\d+)$")], "/7") == "|/7|year=7"
    [consumer] = Router([route_class(SyncReports)]).consumers()
    assert not consumer.is_async
    assert consumer.name == f"{__name__}.SyncReports.request"


# ---- what is called first and last ----


def start():
    pass


def stop():
    pass


def test_the_hooks_of_nested_lists_are_all_called_once():
    inner = Router([route(REQUEST, say)], on_startup=start, on_shutdown=[stop])
    outer = Router([include(inner), mount("/a", inner)], on_startup=[len_of_nothing, start])
    assert outer.hooks == ((len_of_nothing, start), (stop,))


def len_of_nothing():
    return 0
