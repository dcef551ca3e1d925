"""ASGI applications through the real connection code."""

import asyncio

from asgi_apps import App, body, serve, start

from uvicorn import asgi


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
