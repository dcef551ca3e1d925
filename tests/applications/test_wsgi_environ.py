"""The environ with which a WSGI application is called, and the body in it: PEP 3333, sentence by sentence."""

import sys

import pytest
from wsgi_apps import GET, PLAIN, App, post, serve

from uvicorn import ChannelClosed, mount, wsgi
from uvicorn.applications.files import open_body

# ---- environ ----


def test_the_environ_has_what_the_request_line_says(make_site):
    app = App(b"")
    serve(make_site, app)
    environ = app.environ
    assert type(environ) is dict
    assert {
        name: environ[name]
        for name in (
            "REQUEST_METHOD",
            "SCRIPT_NAME",
            "PATH_INFO",
            "QUERY_STRING",
            "RAW_URI",
            "SERVER_PROTOCOL",
            "SERVER_NAME",
            "SERVER_PORT",
            "REMOTE_ADDR",
            "REMOTE_PORT",
            "HTTP_HOST",
        )
    } == {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b/caf\xc3\xa9",
        "QUERY_STRING": "x=1&y=%20",
        "RAW_URI": "/a%20b/caf%C3%A9?x=1&y=%20",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "192.0.2.1",
        "SERVER_PORT": "8000",
        "REMOTE_ADDR": "192.0.2.7",
        "REMOTE_PORT": "50123",
        "HTTP_HOST": "site.example:81",
    }


def test_the_environ_has_every_key_of_wsgi(make_site):
    app = App(b"")
    serve(make_site, app)
    environ = app.environ
    assert environ["wsgi.version"] == (1, 0)
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["wsgi.input"].read() == b""
    assert environ["wsgi.errors"] is sys.stderr
    assert (environ["wsgi.multithread"], environ["wsgi.multiprocess"], environ["wsgi.run_once"]) == (True, True, False)
    assert environ["wsgi.input_terminated"] is True
    assert callable(environ["wsgi.file_wrapper"])
    assert callable(environ["wsgi.early_hints"])
    assert "CONTENT_LENGTH" not in environ
    assert "CONTENT_TYPE" not in environ


def test_the_scheme_is_that_of_the_connection(make_site):
    app = App(b"")
    serve(make_site, app, scheme="https")
    assert app.environ["wsgi.url_scheme"] == "https"


def test_fields_that_come_twice_are_joined(make_site):
    app = App(b"")
    fields = b"Accept: a\r\nCookie: x=1\r\naccept: b\r\nCOOKIE: y=2\r\nX-One: caf\xe9\r\n\r\n"
    serve(make_site, app, GET + fields)
    environ = app.environ
    assert (environ["HTTP_ACCEPT"], environ["HTTP_COOKIE"], environ["HTTP_X_ONE"]) == ("a,b", "x=1; y=2", "caf\xe9")


def test_fields_that_come_twice_with_the_same_value_are_joined(make_site):
    app = App(b"")
    serve(make_site, app, GET + b"X-One:\r\nX-One:\r\nX-Two: a\r\nX-Two: a\r\n\r\n")
    assert (app.environ["HTTP_X_ONE"], app.environ["HTTP_X_TWO"]) == (",", "a,a")


def test_what_describes_the_body_has_no_prefix(make_site):
    app = App(b"")
    serve(make_site, app, post(b"hello", b"Content-Type: text/x"))
    assert (app.environ["CONTENT_TYPE"], app.environ["CONTENT_LENGTH"]) == ("text/x", "5")
    assert not {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"} & app.environ.keys()


def test_a_chunked_body_that_is_here_has_its_length_said(make_site):
    app = App(b"")
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    serve(make_site, app, head + b"5\r\nhello\r\n2\r\n!!\r\n0\r\n\r\n")
    assert app.environ["CONTENT_LENGTH"] == "7"
    assert app.environ["wsgi.input"].read() == b"hello!!"


@pytest.mark.parametrize(
    ("root_path", "target", "script_name", "path_info"),
    [
        ("", "/x/y", "", "/x/y"),
        ("/site", "/x/y", "/site", "/x/y"),  # a proxy has taken the prefix off
        ("/site", "/site/x", "/site", "/x"),
        ("/site", "/site", "/site", ""),
        ("/site/", "/site/x", "/site", "/x"),
        ("/site", "/sitemap", "/site", "/sitemap"),
    ],
)
def test_the_path_is_divided_at_the_root_path(make_site, root_path, target, script_name, path_info):
    app = App(b"")
    serve(make_site, app, f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode(), root_path=root_path)
    assert (app.environ["SCRIPT_NAME"], app.environ["PATH_INFO"]) == (script_name, path_info)


@pytest.mark.parametrize(
    ("root_path", "target", "script_name", "path_info"),
    [
        ("", "/shop/x", "/shop", "/x"),
        ("", "/shop", "/shop", ""),
        ("/site", "/shop/x", "/site/shop", "/x"),
        ("/site", "/site/shop/x", "/site/shop", "/x"),
    ],
)
def test_the_path_is_divided_at_a_mount(make_site, root_path, target, script_name, path_info):
    app = App(b"")
    site = [mount("/shop", app)]
    client = serve(make_site, site, f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode(), root_path=root_path)
    assert client.statuses() == [200]
    assert (app.environ["SCRIPT_NAME"], app.environ["PATH_INFO"]) == (script_name, path_info)


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [
        (b"a.example:81", "a.example", "81"),
        (b"a.example", "a.example", "80"),
        (b"[::1]", "[::1]", "80"),
        (b"", "localhost", "80"),
    ],
)
def test_a_unix_socket_has_a_name_too(make_site, host, name, port):
    app = App(b"")
    site = make_site(app)
    client = site.connect(client=None, server=None)
    client.send(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
    site.run_job(in_thread=True)
    assert (app.environ["SERVER_NAME"], app.environ["SERVER_PORT"], app.environ["REMOTE_ADDR"]) == (name, port, "")


# ---- the body ----


def test_input_reads_lines_pieces_and_the_rest(make_site):
    app = App(b"")
    serve(make_site, app, post(b"one\ntwo\nthree\nfour"))
    body = app.environ["wsgi.input"]
    assert body.readline() == b"one\n"
    assert body.read(2) == b"tw"
    assert body.readlines() == [b"o\n", b"three\n", b"four"]
    assert body.read() == body.read(10) == body.readline() == b""


@pytest.mark.parametrize("mode", ["collect", "stream"])
def test_a_large_body_is_read_to_its_end(make_site, mode):
    body = bytes(range(256)) * 40
    seen = []

    def app(environ, start_response):
        seen.append((environ["wsgi.input"].read(10), environ["wsgi.input"].readline(7), environ["wsgi.input"].read()))
        start_response("200 OK", PLAIN)
        return [b""]

    site = make_site(wsgi(app, body=mode), body_buffer=len(body) - 1)
    client = site.connect()
    client.send(post(body), piece=700)
    site.run_job(in_thread=True)
    assert client.statuses() == [200]
    assert b"".join(seen[0]) == body
    assert [len(part) for part in seen[0][:2]] == [10, 1]


def test_a_client_that_leaves_before_its_body_is_complete_is_an_os_error():
    def chunks():
        yield b"begun"
        raise ChannelClosed("the client left")

    body = open_body({"body": b"", "body_channel": chunks()})
    assert body.read1() == b"begun"  # type: ignore[attr-defined]
    with pytest.raises(OSError, match="left"):
        body.read()
