"""From a reply to bytes: status lines, date and server, framing."""

from __future__ import annotations

import pytest

from uvicorn.wire.encoder import CONTINUE, Encoder, chunk, error_page, last_chunk
from uvicorn.wire.reply import NO_FIELDS, Fields, encode_fields

EPOCH = b"date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (200, b"HTTP/1.1 200 OK\r\n"),
        (204, b"HTTP/1.1 204 No Content\r\n"),
        (404, b"HTTP/1.1 404 Not Found\r\n"),
        (418, b"HTTP/1.1 418 I'm a Teapot\r\n"),
        (503, b"HTTP/1.1 503 Service Unavailable\r\n"),
        (299, b"HTTP/1.1 299 \r\n"),
        (599, b"HTTP/1.1 599 \r\n"),
    ],
)
def test_a_head_begins_with_status_line_server_and_date(status, line):
    encoder = Encoder("me")
    for _ in range(2):
        assert encoder.head(status, NO_FIELDS, None) == line + b"server: me\r\n" + EPOCH + b"\r\n"


@pytest.mark.parametrize(
    ("headers", "start"),
    [
        ([], b"server: me\r\n" + EPOCH),
        ([(b"date", b"x")], b"server: me\r\ndate: x\r\n"),
        ([(b"server", b"x")], EPOCH + b"server: x\r\n"),
        ([(b"Date", b"x"), (b"Server", b"y")], b"Date: x\r\nServer: y\r\n"),
    ],
)
def test_date_and_server_are_never_doubled(headers, start):
    head = Encoder("me").head(200, encode_fields(headers), 3)
    assert head == b"HTTP/1.1 200 OK\r\n" + start + b"content-length: 3\r\n\r\n"


def test_the_server_field_can_be_left_out():
    assert Encoder("").head(200, NO_FIELDS, None) == b"HTTP/1.1 200 OK\r\n" + EPOCH + b"\r\n"


def test_the_date_follows_the_time():
    encoder = Encoder("")
    encoder.head(200, NO_FIELDS, None)
    encoder.set_time(784111777.9)
    later = b"HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    assert encoder.head(200, NO_FIELDS, None) == later + b"\r\n"
    assert encoder.whole(200, NO_FIELDS, b"x") == later + b"content-length: 1\r\n\r\nx"


@pytest.mark.parametrize("length", [0, 1, 4095, 4096, 10**12])
def test_any_length_is_written_in_digits(length):
    assert b"content-length: %d\r\n\r\n" % length in Encoder().head(200, NO_FIELDS, length)


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 5000])
def test_a_whole_response_is_the_same_bytes_as_head_and_content(size):
    encoder = Encoder()
    fields = encode_fields([(b"a", b"b")])
    assert encoder.whole(200, fields, b"x" * size) == encoder.head(200, fields, size) + b"x" * size
    given = encode_fields([(b"Content-Length", b"%d" % size), (b"a", b"b")])
    assert encoder.whole(200, given, b"x" * size) == encoder.head(200, given, size) + b"x" * size
    assert encoder.whole(200, given, b"").lower().count(b"content-length") == 1


@pytest.mark.parametrize(
    ("fields", "length", "connection", "rest"),
    [
        (NO_FIELDS, None, b"", b""),
        (NO_FIELDS, -1, b"", b"transfer-encoding: chunked\r\n"),
        (Fields(b"content-length: 5\r\n", 5), 7, b"", b"content-length: 5\r\n"),
        (Fields(b"content-length: 5\r\n", 5), -1, b"", b"content-length: 5\r\n"),
        (Fields(b"a: b\r\n"), 1, b"connection: close\r\n", b"a: b\r\ncontent-length: 1\r\nconnection: close\r\n"),
    ],
)
def test_framing_is_written_once_after_the_fields(fields, length, connection, rest):
    assert Encoder("").head(200, fields, length, connection) == b"HTTP/1.1 200 OK\r\n" + EPOCH + rest + b"\r\n"


@pytest.mark.parametrize("name", [b"content-length", b"Content-Length", b"CONTENT-LENGTH"])
def test_a_204_has_no_content_length(name):
    fields = encode_fields([(b"a", b"1"), (name, b"0"), (b"content-length-of-mine", b"2")])
    head = Encoder("").head(204, fields, None)
    assert head == b"HTTP/1.1 204 No Content\r\n" + EPOCH + b"a: 1\r\ncontent-length-of-mine: 2\r\n\r\n"


def test_a_304_keeps_its_content_length():
    fields = encode_fields([(b"content-length", b"5")])
    assert b"content-length: 5\r\n" in Encoder("").head(304, fields, None)


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        (b"a", b"1\r\na\r\n"),
        (b"x" * 15, b"f\r\n" + b"x" * 15 + b"\r\n"),
        (b"x" * 256, b"100\r\n" + b"x" * 256 + b"\r\n"),
    ],
)
def test_a_chunk_has_its_size_in_hexadecimal(content, wire):
    assert b"".join(chunk(content)) == wire


def test_the_fixed_parts_are_what_the_rfc_says():
    assert last_chunk(b"") == b"0\r\n\r\n"
    assert last_chunk(b"x-sum: 1\r\n") == b"0\r\nx-sum: 1\r\n\r\n"
    assert CONTINUE == b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(
    ("status", "detail", "content"),
    [
        (404, "", b"404 Not Found\n"),
        (599, "", b"599 Error\n"),
        (500, "caf\u00e9", b"500 Internal Server Error\n\ncaf\xc3\xa9"),
        (500, "\udce9", b"500 Internal Server Error\n\n\\udce9"),
    ],
)
def test_an_error_page_is_plain_text(status, detail, content):
    fields, page = error_page(status, detail)
    assert page == content
    assert fields.block == b"content-type: text/plain; charset=utf-8\r\n"


def test_fields_of_each_response_come_behind_server_and_date():
    encoder = Encoder("me", [("x-one", "1"), ("x-two", "2")])
    more = b"x-one: 1\r\nx-two: 2\r\n"
    assert encoder.head(200, NO_FIELDS, None) == b"HTTP/1.1 200 OK\r\nserver: me\r\n" + EPOCH + more + b"\r\n"
    own = encode_fields([(b"server", b"own")])
    assert encoder.head(200, own, None) == b"HTTP/1.1 200 OK\r\n" + EPOCH + more + b"server: own\r\n\r\n"


def test_there_may_be_no_date():
    encoder = Encoder("", sends_date=False)
    encoder.set_time(1.0)
    assert encoder.head(200, NO_FIELDS, None) == b"HTTP/1.1 200 OK\r\n\r\n"
