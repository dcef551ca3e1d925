"""WSGI applications through the real connection code: PEP 3333, sentence by sentence."""

import io
import sys
from wsgiref.validate import validator

import pytest

from uvicorn import ChannelClosed, mount, wsgi
from uvicorn.applications.files import open_body
from uvicorn.errors import ReplyError

GET = b"GET /a%20b/caf%C3%A9?x=1&y=%20 HTTP/1.1\r\nHost: site.example:81\r\n"
PLAIN = [("Content-Type", "text/plain")]


class App:
    """Answer with `parts`, and remember the environ."""

    def __init__(self, *parts, status="200 OK", headers=PLAIN):
        self.parts, self.status, self.headers = parts, status, headers

    def __call__(self, environ, start_response):
        self.environ = environ
        start_response(self.status, list(self.headers))
        return list(self.parts)


def serve(make_site, app, request=GET + b"\r\n", **options):
    """Serve one request in a thread of the pool; return the client."""
    site = make_site(app, **options)
    client = site.connect()
    client.send(request)
    if site.pool.queue:
        site.run_job(in_thread=True)
    return client


def post(body, *fields):
    lines = [b"POST /p HTTP/1.1", b"Host: a", b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


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


# ---- the response ----


def test_a_list_of_one_is_sent_with_its_length(make_site):
    client = serve(make_site, App(b"hello", status="201 Made", headers=[("X-A", "b"), ("X-a", "c")]))
    data = client.take()
    assert data.startswith(b"HTTP/1.1 201 Created\r\n")
    assert b"\r\nX-A: b\r\nX-a: c\r\n" in data
    assert data.endswith(b"content-length: 5\r\n\r\nhello")


@pytest.mark.parametrize("parts", [(), (b"",), (b"", b"")])
def test_an_empty_response_is_complete(make_site, parts):
    [response] = serve(make_site, App(*parts)).responses()
    assert (response.status, response.body, response.headers["content-length"]) == (200, b"", "0")


def test_parts_without_a_length_are_chunked(make_site):
    [response] = serve(make_site, App(b"a", b"", b"b" * 100)).responses()
    assert response.headers["transfer-encoding"] == "chunked"
    assert response.body == b"a" + b"b" * 100
    assert response.is_complete


def test_a_response_that_is_as_long_as_promised_is_complete_with_its_last_part(make_site):
    steps = []

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "6")])
        yield b"abc"
        steps.append(list(site.clients[0].responses()))
        yield b"def"
        steps.append("after the end")

    site = make_site(app)
    site.connect().send(GET + b"\r\n")
    site.run_job(in_thread=True)
    [response] = site.clients[0].responses()
    assert (response.body, response.headers["content-length"]) == (b"abcdef", "6")
    assert steps[-1] == "after the end"


def test_fields_that_come_from_an_iterator_are_all_sent(make_site):
    def app(environ, start_response):
        start_response("200 OK", iter([*PLAIN, ("X-A", "b")]))
        return [b"page"]

    [response] = serve(make_site, app).responses()
    assert (response.headers["x-a"], response.headers["content-type"], response.body) == ("b", "text/plain", b"page")


def test_start_response_may_come_with_the_first_part(make_site):
    def app(environ, start_response):
        yield b""
        start_response("200 OK", PLAIN)
        yield b"late"

    assert serve(make_site, app).responses()[0].body == b"late"


def test_write_sends_ahead_of_what_is_returned(make_site):
    def app(environ, start_response):
        write = start_response("200 OK", PLAIN)
        write(b"one ")
        write(b"")
        write(b"two ")
        return [b"three"]

    assert serve(make_site, app).responses()[0].body == b"one two three"


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_none(make_site, status):
    [response] = serve(make_site, App(b"", status=f"{status} X")).responses()
    assert (response.status, response.body) == (status, b"")


def test_the_answer_to_head_has_the_length_and_no_body(make_site):
    request = GET.replace(b"GET", b"HEAD") + b"\r\n"
    [response] = serve(make_site, App(b"hello", headers=[("Content-Length", "5")]), request).responses("HEAD")
    assert (response.headers["content-length"], response.body) == ("5", b"")


def test_the_file_wrapper_sends_a_file_and_closes_it(make_site):
    file = io.BytesIO(b"x" * 200_000)

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        return environ["wsgi.file_wrapper"](file, 512)

    site = make_site(app, write_buffer=1 << 20)
    site.connect().send(GET + b"\r\n")
    site.run_job(in_thread=True)
    [response] = site.clients[0].responses()
    assert len(response.body) == 200_000
    assert file.closed


def test_early_hints_come_before_the_response(make_site):
    def app(environ, start_response):
        environ["wsgi.early_hints"]([("Link", "</style.css>; rel=preload")])
        start_response("200 OK", PLAIN)
        return [b"page"]

    hints, response = serve(make_site, app).responses()
    assert (hints.status, hints.headers) == (103, {"link": "</style.css>; rel=preload"})
    assert response.body == b"page"


def test_a_client_of_http_1_0_gets_no_hints(make_site):
    def app(environ, start_response):
        environ["wsgi.early_hints"]([("Link", "</style.css>; rel=preload")])
        start_response("200 OK", PLAIN)
        return [environ["SERVER_PROTOCOL"].encode()]

    assert serve(make_site, app, b"GET / HTTP/1.0\r\n\r\n").responses()[0].body == b"HTTP/1.0"


# ---- errors ----


class Closing:
    """An iterable that is closed once, whatever happens."""

    def __init__(self, *parts):
        self.parts = iter(parts)
        self.closed = 0

    def __iter__(self):
        return self

    def __next__(self):
        part = next(self.parts)
        if isinstance(part, Exception):
            raise part
        return part

    def close(self):
        self.closed += 1


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ((b"a", b"b"), 200),
        ((), 200),
        ((ValueError("first"),), 500),
        ((b"a", ValueError("second")), 200),
        (("text",), 500),
    ],
)
def test_the_iterable_is_closed(make_site, parts, status):
    result = Closing(*parts)

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        return result

    client = serve(make_site, app)
    assert client.statuses() == [status]
    assert result.closed == 1
    assert client.responses()[0].is_complete == (not parts or not isinstance(parts[-1], ValueError) or status == 500)
    client.site.log.take("error")


def test_the_iterable_is_closed_when_the_client_has_left(make_site):
    result = Closing(*[b"x" * 100] * 10)

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        site.clients[0].connection.pipeline.end()
        return result

    site = make_site(app)
    site.connect().send(GET + b"\r\n")
    site.run_job(in_thread=True)
    assert result.closed == 1
    assert list(result.parts) == [b"x" * 100] * 9


def test_an_error_before_the_head_may_replace_it(make_site):
    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        try:
            raise ValueError
        except ValueError:
            start_response("503 Away", [("X-B", "c")], sys.exc_info())
        return [b"sorry"]

    [response] = serve(make_site, app).responses()
    assert (response.status, response.body, response.headers["x-b"]) == (503, b"sorry", "c")
    assert "content-type" not in response.headers


def test_an_error_after_the_head_is_raised_again(make_site):
    raised = []

    def app(environ, start_response):
        start_response("200 OK", PLAIN)(b"begun")
        try:
            raise ValueError("too late")
        except ValueError:
            try:
                start_response("503 Away", [], sys.exc_info())
            except ValueError as error:
                raised.append(error)
                raise

    client = serve(make_site, app)
    assert str(raised[0]) == "too late"
    assert not client.responses()[0].is_complete
    client.site.log.take("error")


@pytest.mark.parametrize(
    ("status", "headers"),
    [("OK", []), (200, []), ("2000", []), ("99 Low", []), ("200 OK", [("a b", "c")]), ("200 OK", [("a", "b\r\nc: d")]),
     ("200 OK", [("content-length", "x")]), ("200 OK", [("a", 1)])],
)  # fmt: skip
def test_a_response_that_cannot_be_sent_is_a_500(make_site, status, headers):
    client = serve(make_site, App(b"x", status=status, headers=headers))
    assert client.statuses() == [500]
    assert client.site.log.take("error")


def test_calling_start_response_twice_or_never_is_a_500(make_site):
    def twice(environ, start_response):
        start_response("200 OK", [])
        with pytest.raises(ReplyError, match="twice"):
            start_response("200 OK", [])
        raise ValueError

    for app in (twice, lambda environ, start_response: [b"x"], lambda environ, start_response: []):
        client = serve(make_site, app)
        assert client.statuses() == [500]
        client.site.log.take("error")


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_the_validator_of_wsgiref_finds_nothing(make_site, method):
    def app(environ, start_response):
        body = environ["wsgi.input"].read(3) + environ["wsgi.input"].readline()
        environ["wsgi.errors"].flush()
        write = start_response("200 OK", PLAIN)
        if method == "POST":
            write(b"[")
        return [body, b"]"] if method != "HEAD" else []

    request = post(b"hello").replace(b"POST", method.encode())
    client = serve(make_site, wsgi(validator(app)), request)
    [response] = client.responses(method)
    assert response.body == {"GET": b"hello]", "POST": b"[hello]", "HEAD": b""}[method]
