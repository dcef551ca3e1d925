"""ASGI applications around others: behind a proxy, and of WSGI."""

import asyncio

import pytest

from uvicorn.applications.forwarded import ProxyHeadersMiddleware
from uvicorn.applications.wsgi_in_asgi import WSGIMiddleware


def proxied(trusted, peer, headers, kind="http", scheme="http"):
    """Return client and scheme that an application sees."""
    seen = {}

    async def app(scope, receive, send):
        seen.update(scope)

    scope = {"type": kind, "client": peer, "scheme": scheme, "headers": headers}
    asyncio.run(ProxyHeadersMiddleware(app, trusted)(scope, None, None))
    return seen["client"], seen["scheme"]


PEER = ("10.0.0.1", 9)


@pytest.mark.parametrize(
    ("trusted", "chain", "client"),
    [
        ("10.0.0.1", b"1.1.1.1", ("1.1.1.1", 0)),
        ("10.0.0.1", b"9.9.9.9, 1.1.1.1", ("1.1.1.1", 0)),
        ("10.0.0.0/8", b"9.9.9.9, 1.1.1.1, 10.2.2.2", ("1.1.1.1", 0)),
        (["10.0.0.1"], b"[2001:db8::1]:80", ("2001:db8::1", 80)),
        ("10.0.0.1", b"1.1.1.1:443", ("1.1.1.1", 443)),
        ("*", b"9.9.9.9, 1.1.1.1", ("9.9.9.9", 0)),
        ("10.0.0.1", b"", PEER),
        ("10.0.0.2", b"1.1.1.1", PEER),
        ("proxy", b"1.1.1.1", PEER),
    ],
)
def test_the_client_is_the_first_from_the_right_that_is_no_proxy(trusted, chain, client):
    assert proxied(trusted, PEER, [(b"x-forwarded-for", chain)])[0] == client


@pytest.mark.parametrize(
    ("kind", "said", "scheme"),
    [
        ("http", b"https", "https"),
        ("websocket", b"https", "wss"),
        ("http", b"wss", "https"),
        ("http", b"gopher", "http"),
    ],
)
def test_the_scheme_is_that_of_the_kind_of_connection(kind, said, scheme):
    assert proxied("10.0.0.1", PEER, [(b"x-forwarded-proto", said)], kind)[1] == scheme


def test_a_peer_without_an_address_is_trusted_if_all_are():
    assert proxied("*", None, [(b"x-forwarded-for", b"1.1.1.1")])[0] == ("1.1.1.1", 0)
    assert proxied("127.0.0.1", None, [(b"x-forwarded-for", b"1.1.1.1")])[0] is None


# ---- WSGI ----


def call(app, parts=(b"",), **scope):
    """Call a WSGI application through ASGI; return the events that it sends."""
    sent = []
    left = list(parts)

    async def receive():
        part = left.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(left)}

    async def send(event):
        sent.append(event)

    base = {"type": "http", "method": "POST", "path": "/a", "headers": [(b"x-a", b"b")], "query_string": b"c=d"}
    asyncio.run(WSGIMiddleware(app)({**base, **scope}, receive, send))
    return sent


def test_a_wsgi_application_gets_its_environ_and_answers_in_parts():
    def app(environ, start_response):
        body = environ["wsgi.input"].read()
        start_response("201 Created", [("X-Out", "y")])
        yield body
        yield f"{environ['PATH_INFO']} {environ['QUERY_STRING']} {environ['HTTP_X_A']}".encode()

    sent = call(app, parts=[b"one", b"two"])
    assert sent[0] == {"type": "http.response.start", "status": 201, "headers": [(b"x-out", b"y")]}
    assert b"".join(event["body"] for event in sent[1:]) == b"onetwo/a c=d b"
    assert [event["more_body"] for event in sent[1:]] == [True, True, False]


def test_a_file_of_it_is_read_in_the_thread(tmp_path):
    (tmp_path / "data").write_bytes(bytes(200_000))

    def app(environ, start_response):
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"]((tmp_path / "data").open("rb"))

    sent = call(app)
    assert b"".join(event["body"] for event in sent[1:]) == bytes(200_000)


def test_what_it_raises_comes_out_and_close_is_called():
    closed = []

    class Parts(list):
        def close(self):
            closed.append(True)

    def app(environ, start_response):
        start_response("200 OK", [])
        return Parts([b"a", "not bytes", b"c"][:1])

    call(app)
    assert closed == [True]
    with pytest.raises(ZeroDivisionError):
        call(lambda environ, start_response: 1 / 0)


def test_sockets_and_lifespans_are_not_for_it():
    sent = []

    async def send(event):
        sent.append(event)

    asyncio.run(WSGIMiddleware(None)({"type": "websocket"}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1000}]
    with pytest.raises(ValueError, match="no lifespan"):
        asyncio.run(WSGIMiddleware(None)({"type": "lifespan"}, None, send))


def test_a_client_that_leaves_before_its_body_is_complete_calls_nothing():
    async def receive():
        return {"type": "http.disconnect"}

    asyncio.run(WSGIMiddleware(None)({"type": "http"}, receive, None))
