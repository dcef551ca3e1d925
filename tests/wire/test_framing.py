"""Heads are cut at exact boundaries, wherever the network cut them."""

from __future__ import annotations

import pytest

from uvicorn.errors import ClientError
from uvicorn.wire.framing import HeadBuffer, check_first_byte, check_head
from uvicorn.wire.limits import Limits

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"


def feed(data, limits, piece):
    """Feed a buffer; return the complete head, checked, and what came after it, or None while it is not complete."""
    buffer = HeadBuffer(limits)
    for at in range(0, len(data), piece):
        given, start = data[at : at + piece], 0
        while start < len(given):
            head = buffer.take(given, start)
            start = buffer.end
            if head is not None:
                check_head(head, limits)
                return head, given[start:] + data[at + piece :]
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
        assert buffer.take(HEAD[:at], 0) is None
        assert (buffer.end, buffer.take(HEAD[at:] + NEXT, 0), buffer.end) == (at, HEAD, len(HEAD) - at)


def test_a_buffer_can_be_used_again():
    buffer = HeadBuffer(Limits(request_fields=2))
    for _ in range(3):
        assert buffer.take(HEAD[:20], 0) is None
        assert buffer.take(HEAD[20:], 0) == HEAD
        assert not buffer.data


def test_heads_are_taken_from_where_they_begin():
    buffer = HeadBuffer(Limits())
    data = b"before\r\n" + HEAD + b"\r\n" + NEXT + b"G"
    assert (buffer.take(data, 6), buffer.end) == (HEAD, 8 + len(HEAD))
    assert (buffer.take(data, buffer.end), buffer.end) == (NEXT, len(data) - 1)
    assert (buffer.take(data, buffer.end), buffer.end, buffer.data) == (None, len(data), b"G")


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
        (b"\r\n\rGET / HTTP/1.1\r\n\r\n", {}, 400),
        # what is too long is refused before what comes behind it is seen, and so before how its line ends
        (b"GET /" + b"a" * 98 + b"\n\r\n\r\n", {"request_line": 100}, 414),
        (b"GET /" + b"a" * 97 + b"\n\r\n\r\n", {"request_line": 100}, 400),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 48 + b"\n\r\n\r\n", {"request_field_size": 50}, 431),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 47 + b"\n\r\n\r\n", {"request_field_size": 50}, 400),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 4 + b"X: y\n\r\n\r\n", {"request_fields": 3}, 431),
        # all at their limit, and a field too many that is never complete
        (
            LINE % (b"a" * 86) + (b"X: " + b"a" * 45 + b"\r\n") * 3 + b"X: ",
            {"request_line": 100, "request_field_size": 50, "request_fields": 3},
            431,
        ),
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
        buffer.take(b"GET /aaaaaaaa", 0)


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
