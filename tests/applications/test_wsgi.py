"""WSGI applications through the real connection code: PEP 3333, sentence by sentence."""

import io
from wsgiref.validate import validator

import pytest
from wsgi_apps import GET, PLAIN, App, post, serve

from uvicorn import wsgi

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
