"""The scope with which an ASGI application is called."""

import pytest
from asgi_apps import GET, App, body, serve, start

from uvicorn import asgi, mount


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


def test_the_state_of_the_lifespan_is_copied_to_each_request(make_site):
    async def app(scope, receive, send):
        scope["state"]["count"] = scope["state"].get("count", 0) + 1
        await send(start())
        await send(body(b"%d" % scope["state"]["count"]))

    declared = asgi(app)
    declared.target.state["count"] = 7  # type: ignore[attr-defined]
    client = serve(make_site, declared, GET * 2)
    assert [response.body for response in client.responses()] == [b"8", b"8"]
