"""ASGI applications through the real connection code."""

import asyncio
from types import SimpleNamespace

import pytest

from uvicorn import ChannelClosed, asgi, mount
from uvicorn.bridge.work import work_now
from uvicorn.errors import ReplyError

GET = b"GET /a%20b/caf%C3%A9?x=1 HTTP/1.1\r\nHost: a\r\nAccept: b\r\naccept: c\r\n\r\n"
TEXT = [(b"content-type", b"text/plain")]


def start(status=200, headers=TEXT):
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(content=b"", more=False):
    return {"type": "http.response.body", "body": content, "more_body": more}


class App:
    """Send `events`, and remember scope and what was received."""

    def __init__(self, *events, receives=0):
        self.events, self.receives, self.received = events, receives, []

    async def __call__(self, scope, receive, send):
        self.scope = scope
        for _ in range(self.receives):
            self.received.append(await receive())
        for event in self.events:
            await send(event)


def serve(make_site, app, request=GET, **options):
    client = make_site(app, **options).connect()
    client.send(request)
    return client


def test_the_scope_has_what_the_request_says(make_site):
    app = App(start(), body())
    serve(make_site, app)
    assert app.scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/a b/caf\xe9",
        "raw_path": b"/a%20b/caf%C3%A9",
        "query_string": b"x=1",
        "root_path": "",
        "headers": [(b"host", b"a"), (b"accept", b"b"), (b"accept", b"c")],
        "client": ("192.0.2.7", 50123),
        "server": ("192.0.2.1", 8000),
        "state": {},
        "extensions": {
            "http.response.early_hint": {},
            "http.response.trailers": {},
            "http.response.pathsend": {},
            "http.response.zerocopysend": {},
        },
    }


@pytest.mark.parametrize(
    ("root_path", "prefix", "target", "seen"),
    [
        ("", "", "/x", ("", "/x", b"/x")),
        ("/site", "", "/x", ("/site", "/site/x", b"/site/x")),
        ("/site", "", "/site/x", ("/site", "/site/x", b"/site/x")),
        ("", "/api", "/api/x", ("/api", "/api/x", b"/api/x")),
        ("/site", "/api", "/api/x", ("/site/api", "/site/api/x", b"/site/api/x")),
        ("/site", "/api", "/site/api/x", ("/site/api", "/site/api/x", b"/site/api/x")),
    ],
)
def test_the_path_includes_the_root_path(make_site, root_path, prefix, target, seen):
    app = App(start(), body())
    site = [mount(prefix, app)] if prefix else app
    serve(make_site, site, f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode(), root_path=root_path)
    assert (app.scope["root_path"], app.scope["path"], app.scope["raw_path"]) == seen


@pytest.mark.parametrize(
    ("root_path", "target", "path", "raw_path"),
    [
        ("", b"/%C0", "/\ufffd", b"/%C0"),
        ("", b"/a%ED%A0%80%C3%A9", "/a\ufffd\ufffd\ufffd\xe9", b"/a%ED%A0%80%C3%A9"),
        ("/caf\xe9", b"/%FF", "/caf\xe9/\ufffd", "/caf\xe9/%FF".encode()),
        ("/\udcff", b"/a", "/\ufffd/a", b"/\xff/a"),
    ],
)
def test_a_path_that_is_no_utf_8_has_replacement_characters(make_site, root_path, target, path, raw_path):
    app = App(start(), body())
    client = serve(make_site, app, b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target, root_path=root_path)
    assert client.statuses() == [200]
    assert (app.scope["path"], app.scope["raw_path"]) == (path, raw_path)
    assert app.scope["path"].startswith(app.scope["root_path"])
    (app.scope["path"] + app.scope["root_path"]).encode()


def test_the_path_of_a_message_keeps_what_is_no_utf_8(make_site):
    async def consumer(message):
        message["reply_channel"].send({"status": 200, "content": message["path"].encode("utf-8", "surrogateescape")})

    [response] = serve(make_site, consumer, b"GET /%C0 HTTP/1.1\r\nHost: a\r\n\r\n").responses()
    assert response.body == b"/\xc0"


def test_a_response_in_one_part_has_its_length(make_site):
    [response] = serve(make_site, App(start(201, [(b"x-a", b"b")]), body(b"hello"))).responses()
    assert (response.status, response.body, response.headers["content-length"]) == (201, b"hello", "5")
    assert response.headers["x-a"] == "b"


def test_a_response_in_parts_is_chunked(make_site):
    events = [start(), body(b"", True), body(b"a" * 100_000, True), body(b"b", True), {"type": "http.response.body"}]
    [response] = serve(make_site, App(*events)).responses()
    assert response.body == b"a" * 100_000 + b"b"
    assert response.is_complete


def test_the_head_waits_for_the_first_part(make_site):
    async def app(scope, receive, send):
        await send(start())
        await asyncio.Event().wait()

    client = serve(make_site, app)
    assert client.take() == b""


def test_an_empty_body_is_received_once(make_site):
    app = App(start(), body(), receives=1)
    serve(make_site, app)
    assert app.received == [{"type": "http.request", "body": b"", "more_body": False}]


def test_a_body_that_is_here_is_received_whole(make_site):
    app = App(start(), body(), receives=1)
    serve(make_site, app, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
    assert app.received == [{"type": "http.request", "body": b"hello", "more_body": False}]


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_large_body_is_received_as_it_comes(make_site, framing):
    parts = []

    async def app(scope, receive, send):
        more = True
        while more:
            event = await receive()
            assert event["type"] == "http.request"
            parts.append(event["body"])
            more = event["more_body"]
        await send(start())
        await send(body(b"done"))

    content = bytes(range(256)) * 40
    if framing == "length":
        request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content)
    else:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        request = head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)
    client = make_site(app, body_buffer=1000).connect()
    client.send(request, piece=700)
    assert client.statuses() == [200]
    assert b"".join(parts) == content
    assert len(parts) > 2


def test_after_the_body_comes_the_disconnect_when_the_client_leaves(make_site):
    app = App(receives=2)
    client = serve(make_site, app)
    assert len(app.received) == 1
    client.leave()
    assert app.received[1:] == [{"type": "http.disconnect"}]


def test_after_the_body_comes_the_disconnect_when_the_response_is_complete(make_site):
    received = []

    async def app(scope, receive, send):
        await receive()
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        await send(start())
        await send(body(b"x", True))
        await asyncio.sleep(0)
        received.append(waiting.done())
        await send(body())
        received.append(await waiting)
        received.append(await receive())

    client = serve(make_site, app)
    assert client.statuses() == [200]
    assert received == [False, {"type": "http.disconnect"}, {"type": "http.disconnect"}]


def test_a_client_that_leaves_in_its_body_is_a_disconnect(make_site):
    app = App(receives=3)
    client = make_site(app, body_buffer=100).connect()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n" + bytes(200))
    client.leave()
    assert [event["type"] for event in app.received] == ["http.request", "http.disconnect", "http.disconnect"]


def test_sending_to_a_client_that_has_left_is_an_os_error(make_site):
    raised = []

    async def app(scope, receive, send):
        await receive()
        await receive()
        await send(start())
        try:
            await send(body(b"x"))
        except OSError as error:
            raised.append(error)
            raise

    serve(make_site, app).leave()
    assert isinstance(raised[0], ChannelClosed)


def test_early_hints_come_before_the_response(make_site):
    hint = {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload", b"</b.js>; rel=preload"]}
    data = serve(make_site, App(hint, start(), body(b"page"))).take()
    assert data.startswith(
        b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nlink: </b.js>; rel=preload\r\n\r\nHTTP/1.1 200 OK"
    )


def test_a_double_callable_is_served(make_site):
    class App2:
        def __init__(self, scope):
            self.path = scope["path"]

        async def __call__(self, receive, send):
            await send(start())
            await send(body(self.path.encode()))

    assert serve(make_site, App2, b"GET /two HTTP/1.1\r\nHost: a\r\n\r\n").responses()[0].body == b"/two"


def test_a_plain_function_that_returns_an_awaitable_is_served(make_site):
    app = App(start(), body(b"x"))
    assert serve(make_site, asgi(lambda *args: app(*args))).statuses() == [200]


def test_the_state_of_the_lifespan_is_copied_to_each_request(make_site):
    async def app(scope, receive, send):
        scope["state"]["count"] = scope["state"].get("count", 0) + 1
        await send(start())
        await send(body(b"%d" % scope["state"]["count"]))

    declared = asgi(app)
    declared.target.state["count"] = 7  # type: ignore[attr-defined]
    client = serve(make_site, declared, GET * 2)
    assert [response.body for response in client.responses()] == [b"8", b"8"]


# ---- mistakes ----


async def nothing(scope, receive, send):
    pass


@pytest.mark.parametrize(
    "app",
    [
        nothing,
        App(start()),
        App(body(b"x")),
        App(start(), start()),
        App({"type": "websocket.accept"}),
        App(start(headers=[(b"a", b"b\r\nc: d")]), body()),
        App(start("200"), body()),
        App({"type": "http.response.start"}, body()),
        App(start(None), body()),
        App(start(0), body()),
        App(start(), body("text")),
    ],
    ids=range(11),
)
def test_a_response_that_cannot_be_sent_is_a_500(make_site, app):
    client = serve(make_site, app)
    assert client.statuses() == [500]
    assert client.site.log.take("error")


def test_a_mistake_is_raised_where_it_was_made(make_site):
    raised = []

    async def app(scope, receive, send):
        await send(start())
        await send(body(b"x"))
        try:
            await send(body(b"more"))
        except ReplyError as error:
            raised.append(str(error))

    assert serve(make_site, app).statuses() == [200]
    assert "complete" in raised[0]


def test_a_start_without_a_status_raises_where_it_was_made(make_site):
    raised = []

    async def app(scope, receive, send):
        try:
            await send({"type": "http.response.start"})
        except ReplyError as error:
            raised.append(str(error))
        await send(start(204))
        await send(body())

    assert serve(make_site, app).statuses() == [204]
    assert raised == ["http.response.start needs a status: 200 to 599"]


def test_an_error_after_the_head_closes_the_connection(make_site):
    async def app(scope, receive, send):
        await send(start())
        await send(body(b"x", True))
        raise ValueError

    client = serve(make_site, app)
    assert not client.responses()[0].is_complete
    assert client.is_closed
    assert client.site.log.take("error")


def test_chunks_of_one_turn_of_the_loop_are_written_together_and_at_its_end(make_site):
    turn = asyncio.Event()

    async def app(scope, receive, send):
        await send(start())
        for letter in (b"a", b"b", b"c"):
            await send(body(letter, True))
        await turn.wait()
        await send(body(b"d", True))
        raise ValueError

    client = serve(make_site, app)
    assert client.take().endswith(b"\r\n1\r\na\r\n2\r\nbc\r\n")
    turn.set()
    client.site.settle()
    assert client.take() == b"1\r\nd\r\n"
    assert client.site.log.take("error")


class Later:
    """An application that leaves a task behind; the task asks for whom it works when the test wants it."""

    def __init__(self, *events):
        self.events, self.works, self.go_on = events, [], asyncio.Event()

    async def __call__(self, scope, receive, send):
        self.task = asyncio.ensure_future(self.go())
        self.send = send
        for event in self.events:
            await send(event)
            self.works.append(work_now().is_answered if event["type"].endswith("body") else None)

    async def go(self):
        await self.go_on.wait()
        self.works.append(work_now().is_outside)


def serve_with_threads(make_site, app):
    site = make_site(app)
    [consumer] = site.service.application.consumers()
    consumer.target.threads = SimpleNamespace()
    client = site.connect()
    client.send(GET)
    return client


def test_a_request_that_hands_nothing_to_threads_has_nothing_made_for_that(make_site, monkeypatch):
    made = []
    monkeypatch.setattr("uvicorn.applications.asgi_call.Work", made.append)
    client = serve_with_threads(make_site, App(start(), body(b"page")))
    assert client.statuses() == [200]
    assert made == []


def test_what_is_asked_for_after_the_response_is_that_of_background_tasks(make_site):
    app = Later(start(), body(b"page"))
    client = serve_with_threads(make_site, app)
    assert client.statuses() == [200]
    assert app.works == [None, True]


@pytest.mark.parametrize("events", [(), (start(), body(b"page"))], ids=["not answered", "answered"])
def test_a_task_that_is_left_behind_works_for_no_request_and_keeps_no_client_waiting(make_site, events):
    app = Later(*events)
    client = serve_with_threads(make_site, app)
    assert client.statuses() == [200 if events else 500]
    app.go_on.set()
    client.site.settle()
    assert app.works[-1] is True
    with pytest.raises(ChannelClosed):
        client.site.loop.run_until_complete(app.send(body(b"more")))
    assert len(client.site.log.take("error")) == (0 if events else 1)
