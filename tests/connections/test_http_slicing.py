"""The same bytes get the same answer, wherever the network has cut them, and whatever the connection served before."""

from __future__ import annotations

import pytest
from differential import Bench
from test_http_refusals import ACCEPTED, REFUSED

NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
LIMITS = {"request_line": 40, "request_fields": 3, "request_field_size": 30, "request_body": 10}

#: Refused for two reasons, or exactly at a limit: the first byte too many decides. Under LIMITS.
MIXED = {
    "an unknown method and LF alone": (400, b"BREW / HTTP/1.1\nHost: a\r\n\r\n"),
    "an unknown method and a long field": (431, b"BREW / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40 + b"\r\n\r\n"),
    "an unknown method that is no letter": (400, b"_BREW / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "an unknown method and a bad field": (501, b"BREW / HTTP/1.1\r\nHost : a\r\n\r\n"),
    "another version and LF alone": (400, b"GET / HTTP/2.0\r\nHost: a\n\r\n\r\n"),
    "another version and too many fields": (431, b"GET / HTTP/2.0\r\n" + b"X: y\r\n" * 4 + b"\r\n"),
    "another version and a bad field": (505, b"GET / HTTP/2.0\r\nHost : a\r\n\r\n"),
    "another version behind a bracket": (400, b"[GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    "a long line and LF alone": (414, b"GET /" + b"x" * 40 + b" HTTP/1.1\nHost: a\r\n\r\n"),
    "LF alone and a long line behind it": (400, b"GET / HTTP/1.1\nHost: " + b"a" * 60 + b"\r\n\r\n"),
    "a line of the greatest length": (None, b"GET /" + b"x" * 26 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a line that is one byte longer": (414, b"GET /" + b"x" * 27 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a long line that never ends": (414, b"GET /" + b"x" * 60),
    "a field of the greatest length": (None, HEAD + b"X: " + b"x" * 25 + b"\r\n\r\n"),
    "a field that is one byte longer": (431, HEAD + b"X: " + b"x" * 26 + b"\r\n\r\n"),
    "a long field and LF alone": (431, HEAD + b"X: " + b"x" * 40 + b"\n\r\n"),
    "as many fields as may be": (None, HEAD + b"X: y\r\n" * 2 + b"\r\n"),
    "one field more": (431, HEAD + b"X: y\r\n" * 3 + b"\r\n"),
    "one field more, which is wrong": (431, HEAD + b"X: y\r\n" * 2 + b"X y\r\n\r\n"),
    "too many fields and two spaces": (431, b"GET  / HTTP/1.1\r\n" + b"X: y\r\n" * 4 + b"\r\n"),
    "a body that is too long": (413, HEAD + b"Content-Length: 11\r\n\r\nhello"),
    "chunks that are too long": (413, CHUNKED + b"5\r\nhello\r\n6\r\nworld!\r\n0\r\n\r\n"),
    "chunks that are too long and then wrong": (413, CHUNKED + b"5\r\nhello\r\n6\r\nworld!!\r\nx\r\n"),
    "chunks that are wrong and then too long": (400, CHUNKED + b"5\r\nhello\r\nx\r\n6\r\nworld!\r\n"),
    "a wrong chunk behind a right one": (400, CHUNKED + b"5\r\nhello\r\n5 \r\nworld\r\n0\r\n\r\n"),
    "a wrong trailer behind a right one": (400, CHUNKED + b"5\r\nhello\r\n0\r\nX: y\r\nZ : y\r\n\r\n"),
    "white space around extensions": (None, CHUNKED + b'5 ; a = "b"\t;c\r\nhello\r\n0\r\n\r\n'),
    "a trailer with a length": (None, CHUNKED + b"5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n"),
    "a trailer that closes": (None, CHUNKED + b"5\r\nhello\r\n0\r\nConnection: close\r\n\r\n"),
    "a proxy's connection that closes": (None, HEAD + b"Proxy-Connection: close\r\n\r\n"),
    "tabs behind values": (None, b"POST / HTTP/1.1\r\nHost: a\t\r\nTransfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n"),
    "a tab behind a length": (None, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\t\r\n\r\nhello"),
    "a tab behind an expectation": (None, HEAD + b"Expect: 100-continue \t\r\n\r\n"),
    "a line of white space": (400, HEAD + b"X: y\r\n \r\n\r\n"),
    "a fragment": (400, b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
    "user information": (400, b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
}  # fmt: skip


@pytest.fixture(scope="module")
def bench():
    bench = Bench()
    yield bench
    bench.close()


@pytest.fixture(scope="module")
def tight():
    bench = Bench(**LIMITS)
    yield bench
    bench.close()


def slicings(size):
    """Cut once at every byte, and at all of them."""
    return [*([at] for at in range(1, size)), list(range(1, size))]


@pytest.mark.parametrize("name", [*REFUSED, *ACCEPTED])
def test_one_verdict_for_the_same_bytes(bench, name):
    data = (REFUSED[name][1] if name in REFUSED else ACCEPTED[name]) + NEXT
    bench.check(data, slicings(len(data)))


@pytest.mark.parametrize("name", MIXED)
def test_what_comes_first_decides(tight, name):
    status, data = MIXED[name]
    data += NEXT
    _, refused, _ = tight.talk([data])
    assert refused == status
    tight.check(data, slicings(len(data)))


@pytest.mark.parametrize("name", [name for name in MIXED if MIXED[name][0] is None])
def test_the_next_request_of_a_connection_is_served(tight, name):
    served, refused, is_closed = tight.talk([MIXED[name][1] + NEXT])
    assert (served[1][1], refused, is_closed) == (b"/next", None, False)


@pytest.mark.parametrize("size", [16382, 16383, 16384, 16385, 20000])
@pytest.mark.parametrize("line", [b"5;%b\r\nhello\r\n0\r\n\r\n", b"0\r\nX:%b\r\n\r\n", b"5;%b", b"5;%b\nhello\r\n"])
def test_what_is_no_content_is_bounded_wherever_it_is_cut(bench, line, size):
    data = CHUNKED + line % (b"a" * (size - 5))
    places = [len(CHUNKED) + at for at in (1, 5, 16380, 16384, 16385, 16386) if at < size]
    bench.check(data, [*([at] for at in places), places, [80, 9000, 9001]])
