"""Mistakes of WSGI applications, and the end of what they return."""

import sys

import pytest
from wsgi_apps import GET, PLAIN, App, serve

from uvicorn.errors import ReplyError


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


def test_fields_that_cannot_be_read_do_not_begin_the_response(make_site):
    def app(environ, start_response):
        with pytest.raises(TypeError):
            start_response("200 OK", None)
        start_response("503 Service Unavailable", PLAIN)
        return [b"sorry"]

    assert serve(make_site, app).statuses() == [503]


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
