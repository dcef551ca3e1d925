"""Lists of routes: patterns of several keys, named groups, include, mount; mistakes found at start."""

import sys
import types

import pytest
from clients import Echo

from uvicorn import Router, asgi, include, mount, route, route_class, wsgi
from uvicorn.applications.mounting import as_application
from uvicorn.errors import ConsumerError, RouteError

REQUEST = "http.request"


def say(message, **groups):
    root, path = message["root_path"], message["path"]
    content = f"{root}|{path}|{','.join(f'{name}={text}' for name, text in sorted(groups.items()))}"
    message["reply_channel"].send({"status": 200, "content": content.encode()})


async def say_async(message, **groups):
    say(message, **groups)


def no_groups(message):
    pass


def year_only(message, year):
    pass


async def service(scope, receive, send):
    pass


def ask(make_site, routes, target="/", method="GET", **options):
    """Return the body of the answer, or its status if it is not 200."""
    client = make_site(routes, **options).connect()
    client.send(f"{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    [response] = client.responses(method)
    return response.body.decode() if response.status == 200 else response.status


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


# ---- mistakes ----


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


# ---- the slash behind a mount ----


def redirected(path, root_path="", query=b"", raw_path=None, **options):
    """Return what a mount at /api replies to a request itself, or None if its application is asked."""
    sent = []

    class Channel:
        send = sent.append

    async def inside(message):
        pass

    message = {
        "path": path, "raw_path": raw_path or path.encode(), "root_path": root_path, "query_string": query,
        "reply_channel": Channel(),
    }  # fmt: skip
    consumer = Router([mount("/api", inside, **options)]).find("http.request", path, message)
    assert consumer.is_async
    coroutine = consumer.call(message)
    with pytest.raises(StopIteration):
        coroutine.send(None)
    return sent[0] if sent else None


def test_a_mount_that_wants_it_sends_who_leaves_the_slash_out_to_the_address_with_it():
    assert redirected("/api") is None
    assert redirected("/api/", redirect=True) is None
    assert redirected("/api/x", redirect=True) is None
    assert redirected("/api", redirect=True) == {"status": 307, "headers": [(b"location", b"/api/")]}
    assert redirected("/api", redirect=True, query=b"a=1&b")["headers"] == [(b"location", b"/api/?a=1&b")]
    assert redirected("/api", redirect=True, raw_path=b"/%61pi")["headers"] == [(b"location", b"/%61pi/")]


@pytest.mark.parametrize("path", ["/api", "/site/api"])
def test_the_address_with_the_slash_has_the_root_path_once(path):
    assert redirected(path, "/site", redirect=True)["headers"] == [(b"location", b"/site/api/")]


def test_a_socket_is_not_redirected():
    def inside(message):
        pass

    router = Router([mount("/api", inside, redirect=True)])
    assert router.find("websocket.connect", "/api").target is inside
    assert router.moved(lambda consumer: consumer).find("http.request", "/api").target is not inside
