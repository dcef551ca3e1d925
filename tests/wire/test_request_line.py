"""The request line: what is wrong with it, and targets in other forms than the usual one."""

from __future__ import annotations

import pytest

from uvicorn.errors import ClientError
from uvicorn.wire.request_line import RequestLine, line_error, origin_of


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/0.9\r\n\r\n", 505),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"BREW / HTTP/2.0\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\n", 505),
        (b"BREW / HTTP/1.1\r\n\r\n", 501),
        (b"get / HTTP/1.0\r\n\r\n", 501),
        (b"DESCRIBE / HTTP/1.1\r\n\r\n", 501),
        (b"CONNECT a:80 HTTP/1.1\r\n\r\n", 501),
        (b"GET  / HTTP/1.1\r\n\r\n", 400),
        (b"GE(T / HTTP/1.1\r\n\r\n", 400),
        (b"BREW /\xff HTTP/1.1\r\n\r\n", 400),
        (b"GET / RTSP/1.0\r\n\r\n", 400),
        (b"GET / HTTP/10\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"", 400),
    ],
)
def test_a_wrong_line_has_the_status_of_what_is_wrong(head, status):
    assert line_error(head).status == status


def test_a_right_line_has_none():
    assert line_error(b"GET / HTTP/1.1\r\nHo st: a\r\n\r\n") is None


@pytest.mark.parametrize(
    ("target", "method", "origin", "host"),
    [
        (b"*", "OPTIONS", b"*", b"a"),
        (b"http://b/c?d", "GET", b"/c?d", b"b"),
        (b"http://b?d", "GET", b"/?d", b"b"),
        (b"https://b:1", "OPTIONS", b"/", b"b:1"),
        (b"HTTP://[::1]:8/", "GET", b"/", b"[::1]:8"),
    ],
)
def test_a_target_is_brought_into_origin_form(target, method, origin, host):
    headers = [[b"x", b"1"], [b"host", b"a"]]
    assert origin_of(target, method, headers) == origin
    assert headers == [[b"x", b"1"], [b"host", host]]


def test_an_absolute_target_names_the_host_where_there_is_no_host():
    headers = [[b"x", b"1"]]
    assert origin_of(b"http://b/c", "GET", headers) == b"/c"
    assert headers == [[b"host", b"b"], [b"x", b"1"]]


@pytest.mark.parametrize(
    ("target", "method"),
    [
        (b"*", "GET"), (b"a", "GET"), (b"http://", "GET"), (b"a:1", "OPTIONS"), (b"ftp://a/", "GET"),
        (b"http:///a", "GET"), (b"http://:80/", "GET"), (b"http://user@b/", "GET"), (b"http://user:word@b/", "GET"),
        (b"http://a@b@c/", "GET"), (b"http://b:c/", "GET"), (b"http://b\\c/", "GET"), (b"http://?a", "GET"),
    ],
)  # fmt: skip
def test_other_targets_are_refused(target, method):
    with pytest.raises(ClientError) as caught:
        origin_of(target, method, [[b"host", b"a"]])
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("method", "version", "is_usual"), [("GET", "1.1", True), ("HEAD", "1.1", False), ("GET", "1.0", False)]
)
def test_a_line_is_usual_if_its_response_has_a_body_and_is_kept(method, version, is_usual):
    assert RequestLine(method, b"/", version, "/").is_usual is is_usual


def test_a_line_is_shown_without_what_could_harm_a_log():
    assert RequestLine("GET", b"/\x1b\xff", "1.1", "/").shown == "GET /\x1b\\xff"
