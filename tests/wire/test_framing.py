"""Heads and bodies are cut at exact boundaries, wherever the network cut them."""

from __future__ import annotations

import random

import httptools
import pytest

from uvicorn.errors import ClientError
from uvicorn.wire.framing import ChunkedCutter, HeadBuffer, check_first_byte
from uvicorn.wire.limits import Limits

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"


def feed(data, limits, piece):
    """Feed a buffer; return the complete head and what came after it, or None while it is not complete."""
    buffer = HeadBuffer(limits)
    for at in range(0, len(data), piece):
        size = buffer.add(data[at : at + piece])
        if size:
            head, rest = buffer.take(size)
            return head, rest + data[at + piece :]
    return None


@pytest.mark.parametrize("before", [b"", b"\r\n", b"\r\n\r\n\r\n"])
@pytest.mark.parametrize("after", [b"", b"\r\n", NEXT, b"body\r\n\r\n"])
def test_a_head_is_found_wherever_it_is_cut(before, after):
    data = before + HEAD + after
    for piece in range(1, len(data) + 1):
        assert feed(data, Limits(), piece) == (HEAD, after)


def test_a_head_is_found_at_every_cut_in_two():
    for at in range(1, len(HEAD)):
        buffer = HeadBuffer(Limits())
        assert buffer.add(HEAD[:at]) == 0
        assert buffer.add(HEAD[at:]) == len(HEAD)


def test_a_buffer_can_be_used_again():
    buffer = HeadBuffer(Limits(request_fields=2))
    for _ in range(3):
        assert buffer.take(buffer.add(HEAD)) == (HEAD, b"")
        assert not buffer.data


def outcome(data, limits, piece):
    try:
        return "complete" if feed(data, limits, piece) else "waits"
    except ClientError as error:
        return error.status


LINE = b"GET /%b HTTP/1.1\r\n"  # 14 bytes without its CRLF and what is put in


@pytest.mark.parametrize(
    ("data", "limits", "expected"),
    [
        # limit_request_line: without its CRLF, as Gunicorn counts
        (LINE % (b"a" * 86) + b"\r\n", {"request_line": 100}, "complete"),
        (LINE % (b"a" * 87) + b"\r\n", {"request_line": 100}, 414),
        (b"GET /" + b"a" * 97, {"request_line": 100}, "waits"),
        (b"GET /" + b"a" * 98, {"request_line": 100}, 414),
        (LINE % (b"a" * 5000) + b"\r\n", {"request_line": 0}, "complete"),
        # limit_request_field_size: with its CRLF, as Gunicorn counts
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 45 + b"\r\n\r\n", {"request_field_size": 50}, "complete"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 46 + b"\r\n\r\n", {"request_field_size": 50}, 431),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 47, {"request_field_size": 50}, "waits"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 48, {"request_field_size": 50}, 431),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 9000 + b"\r\n\r\n", {"request_field_size": 0}, "complete"),
        # limit_request_fields
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 3 + b"\r\n", {"request_fields": 3}, "complete"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 4 + b"\r\n", {"request_fields": 3}, 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 4, {"request_fields": 3}, 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 3 + b"X", {"request_fields": 3}, "waits"),
        # all at their limit together
        (
            LINE % (b"a" * 86) + (b"X: " + b"a" * 45 + b"\r\n") * 3 + b"\r\n",
            {"request_line": 100, "request_field_size": 50, "request_fields": 3},
            "complete",
        ),
        # lines end with CRLF
        (b"GET / HTTP/1.1\nHost: a\r\n\r\n", {}, 400),
        (b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", {}, 400),
        (b"GET / HTTP/1.1\r\n\n", {}, 400),
        (b"GET / HTTP/1.1\r\nHost: a\n\n", {}, 400),
        (b"\nGET / HTTP/1.1\r\n", {}, 400),
        # what does not begin like a request
        (b"\x16\x03\x01\x02\x00", {}, 400),
        (b"\r\n\x16", {}, 400),
        (b" GET / HTTP/1.1\r\n\r\n", {}, 400),
        (b"\r\rGET", {}, 400),
        (b"\r\n" * 1000, {}, "waits"),
        (b"\r", {}, "waits"),
    ],
)
def test_a_head_is_refused_exactly_at_its_limits(data, limits, expected):
    limits = Limits(**limits)
    for piece in (1, 2, 3, 7, 64, len(data)):
        assert outcome(data, limits, piece) == expected, piece


@pytest.mark.parametrize(("size", "expected"), [(1 << 19, "waits"), (1 << 21, 431)])
def test_a_head_without_limits_on_its_lines_has_a_limit_as_a_whole(size, expected):
    data = b"GET / HTTP/1.1\r\nX: " + b"x" * size
    assert outcome(data, Limits(request_line=0, request_field_size=0), 65536) == expected


def test_a_bad_line_is_refused_before_the_head_is_complete():
    buffer = HeadBuffer(Limits(request_line=10))
    with pytest.raises(ClientError):
        buffer.add(b"GET /aaaaaaaa")


@pytest.mark.parametrize("data", [b"GET", b"get", b"Z", b"a"])
def test_a_request_begins_with_a_letter(data):
    assert check_first_byte(data) is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"\x16\x03", "TLS on a plain HTTP port"), (b"\0", "not HTTP"), (b"[", "not HTTP"), (b"5", "not HTTP")],
)
def test_anything_else_is_refused_with_a_reason(data, reason):
    with pytest.raises(ClientError, match=reason) as caught:
        check_first_byte(data)
    assert caught.value.status == 400


class Body:
    """Feed a chunked body to httptools as the cutter says."""

    def __init__(self):
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.cutter = ChunkedCutter()
        self.content = b""
        self.is_complete = False
        self.fed = 0

    def on_body(self, data):
        self.content += data

    def on_message_complete(self):
        self.is_complete = True

    def feed(self, data):
        at = 0
        while at < len(data) and not self.is_complete:
            size = self.cutter.cut(data[at:], 0)
            assert 0 < size <= len(data) - at
            self.parser.feed_data(data[at : at + size])
            at += size
            self.fed += size


BODIES = {
    "empty": (b"0\r\n\r\n", b""),
    "one chunk": (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    "more chunks": (b"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n", b"hello"),
    "zeros": (b"0005\r\nhello\r\n0000\r\n\r\n", b"hello"),
    "extensions": (b'5;a=b\r\nhello\r\n0;c="d"\r\n\r\n', b"hello"),
    "a trailer": (b"5\r\nhello\r\n0\r\nX: y\r\n\r\n", b"hello"),
    "trailers": (b"5\r\nhello\r\n0\r\nX: y\r\nZ:\r\n\r\n", b"hello"),
    "an empty line as content": (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
    "empty lines as content": (b"a\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n" * 5),
    "content that looks like an end": (b"b\r\nx\r\n0\r\n\r\n\r\n0\r\n0\r\n\r\n", b"x\r\n0\r\n\r\n\r\n0"),
    "content that ends with CR": (b"2\r\na\r\r\n0\r\n\r\n", b"a\r"),
    "content that begins with LF": (b"2\r\n\na\r\n0\r\n\r\n", b"\na"),
}


@pytest.mark.parametrize("after", [b"", NEXT, b"\r\n", b"0\r\n\r\n"])
@pytest.mark.parametrize("name", BODIES)
def test_a_chunked_body_ends_exactly_where_it_ends(name, after):
    data, content = BODIES[name]
    for first in range(len(data) + 1):
        for second in range(first, len(data) + 1):
            body = Body()
            for piece in (data[:first], data[first:second], data[second:] + after):
                body.feed(piece)
            assert (body.fed, body.content, body.is_complete) == (len(data), content, True), (first, second)


@pytest.mark.parametrize("name", BODIES)
def test_a_chunked_body_may_come_byte_by_byte(name):
    data, content = BODIES[name]
    body = Body()
    for at in range(len(data)):
        assert not body.is_complete
        body.feed(data[at : at + 1])
    body.feed(NEXT)
    assert (body.fed, body.content, body.is_complete) == (len(data), content, True)


def test_chunked_bodies_of_any_shape_end_exactly_where_they_end():
    chance = random.Random(2017)
    for _ in range(300):
        chunks = [chance.choices(b"\r\n0a", k=chance.randint(1, 9)) for _ in range(chance.randint(0, 4))]
        data = b"".join(b"%x\r\n%b\r\n" % (len(chunk), bytes(chunk)) for chunk in chunks) + b"0\r\n"
        data += b"X: y\r\n" * chance.randint(0, 2) + b"\r\n"
        body, at = Body(), 0
        whole = data + NEXT
        while not body.is_complete:
            size = chance.randint(1, 8)
            body.feed(whole[at : at + size])
            at += size
        assert (body.fed, body.content) == (len(data), b"".join(map(bytes, chunks)))


@pytest.mark.parametrize("line", [b"x\r\n", b"5 \r\n", b"0x5\r\n", b"\r\n", b"-1\r\n", b"5\n", b"f" * 17 + b"\r\n"])
def test_what_is_not_plainly_a_chunk_size_is_refused(line):
    with pytest.raises(ClientError) as caught:
        ChunkedCutter().cut(line, 0)
    assert caught.value.status == 400


def test_content_costs_one_cut_whatever_is_in_it():
    body = b"4000\r\n" + b"\r\n\r\n" * 4096 + b"\r\n0\r\n\r\n"
    assert ChunkedCutter().cut(body, 0) == len(body)
