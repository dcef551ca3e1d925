"""Bodies end where they end, wherever the network cut them, and what is wrong in them is refused there."""

from __future__ import annotations

import random

import pytest

from uvicorn.errors import ClientError
from uvicorn.wire.bodies import ChunkedReader, LengthReader

NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("piece", [1, 2, 5, 100])
def test_a_body_of_known_length_ends_where_it_ends(piece):
    data, content = b"hello" + NEXT, b""
    reader = LengthReader(5)
    for at in range(0, len(data), piece):
        given = b"before" + data[at : at + piece]
        content += reader.read(given, 6)
        if reader.is_complete:
            assert given[reader.end :] + data[at + piece :] == NEXT
            break
        assert reader.end == len(given)
    assert content == b"hello"


class Body:
    """Feed a chunked body, as a connection does."""

    def __init__(self):
        self.reader = ChunkedReader()
        self.content = b""
        self.fed = 0

    @property
    def is_complete(self):
        return self.reader.is_complete

    def feed(self, data):
        at = 0
        while at < len(data) and not self.is_complete:
            self.content += self.reader.read(data, at)
            assert at <= self.reader.end <= len(data)
            self.fed += self.reader.end - at
            at = self.reader.end


BODIES = {
    "empty": (b"0\r\n\r\n", b""),
    "one chunk": (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    "more chunks": (b"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n", b"hello"),
    "zeros": (b"0005\r\nhello\r\n0000\r\n\r\n", b"hello"),
    "extensions": (b'5;a=b\r\nhello\r\n0;c="d"\r\n\r\n', b"hello"),
    "white space around extensions": (b'5 ;\t a = b;c\t=\t"\\";=" ; d\r\nhello\r\n0 ; e\r\n\r\n', b"hello"),
    "a trailer with a length": (b"5\r\nhello\r\n0\r\nContent-Length: 7\r\n\r\n", b"hello"),
    "a trailer that closes": (b"5\r\nhello\r\n0\r\nConnection: close\r\n\r\n", b"hello"),
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


def verdict_on(data, piece):
    """Feed a chunked body in pieces; return what was content, and the status if it was refused."""
    body = Body()
    try:
        for at in range(0, len(data), piece):
            body.feed(data[at : at + piece])
    except ClientError as error:
        return body.content, error.status
    return body.content, None


WRONG = {
    "no number": b"x\r\n",
    "a space": b"5 \r\n",
    "0x": b"0x5\r\n",
    "an empty line": b"\r\n",
    "a sign": b"-1\r\n",
    "LF alone": b"5\n",
    "more than 60 bits": b"f" * 16 + b"\r\n",
    "an extension without a name": b"5;\r\n",
    "an extension with an empty value": b"5;a=\r\n",
    "a space after an extension": b"5;a \r\n",
    "an open quote": b'5;a="b\r\n',
    "a control character": b"5;a=\x01\r\n",
    "CR in an extension": b"5;a\rb\r\n",
    "LF in an extension": b"5;a\nb\r\n",
    "a chunk that is longer": b"5\r\nhello!\r\n",
    "CR alone after a chunk": b"5\r\nhello\r0\r\n",
    "LF alone after a chunk": b"5\r\nhello\n0\r\n",
    "a trailer without a name": b"0\r\n: a\r\n",
    "a trailer without a colon": b"0\r\nabc\r\n",
    "a folded trailer": b"0\r\nA: b\r\n c\r\n",
    "a space before the colon": b"0\r\nA : b\r\n",
    "NUL in a trailer": b"0\r\nA: \0\r\n",
    "CR in a trailer": b"0\r\nA: b\rc\r\n",
    "LF alone after the last chunk": b"0\r\n\n",
}


@pytest.mark.parametrize("before", [b"", b"3\r\nabc\r\n"])
@pytest.mark.parametrize("name", WRONG)
def test_wrong_framing_is_refused_behind_what_is_right(name, before):
    data = before + WRONG[name]
    content = before[3:6] + (b"hello" if b"hello" in data else b"")
    for piece in range(1, len(data) + 1):
        assert verdict_on(data, piece) == (content, 400), piece


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"5;a=" + b"b" * 16378 + b"\r\n", None),
        (b"5;a=" + b"b" * 16379 + b"\r\n", 431),
        (b"5;a=" + b"b" * 20000, 431),
        (b"0\r\n" + b"A: b\r\n" * 2000, None),
        (b"0\r\n" + b"A: b\r\n" * 3000, 431),
        (b"0\r\nA: " + b"b" * 20000, 431),
        (b"1;" + b"a" * 9 + b"\r\nx\r\n", None),  # as many as there may be: see the next test
        (b"1;" + b"a" * 90 + b"\r\nx\r\n", None),
    ],
)
def test_extensions_and_trailers_have_a_limit(data, status):
    for piece in (1, 7, 4096, len(data)):
        assert verdict_on(data, piece)[1] == status, piece


def test_a_body_that_is_mostly_extensions_is_refused():
    assert verdict_on((b"1;" + b"a" * 9 + b"\r\nx\r\n") * 10000, 65536)[1] is None
    for piece in (7, 65536):
        assert verdict_on((b"1;" + b"a" * 90 + b"\r\nx\r\n") * 10000, piece)[1] == 431
    assert verdict_on((b"100;" + b"a" * 90 + b"\r\n" + b"x" * 256 + b"\r\n") * 1000, 65536)[1] is None


def test_content_costs_one_step_whatever_is_in_it():
    content = b"\r\n\r\n" * 4096
    body = b"4000\r\n" + content + b"\r\n0\r\n\r\n"
    reader = ChunkedReader()
    assert (reader.read(body, 0), reader.end, reader.is_complete) == (content, len(body), True)


def test_no_more_lines_are_taken_in_one_step_than_asked_for():
    data, reader, steps = b"1\r\na\r\n" * 100 + b"0\r\nA: b\r\n\r\n", ChunkedReader(), []
    while not reader.is_complete:
        steps.append(reader.read(data, reader.end, 10))
    assert steps == [b"a" * 10] * 10 + [b""]
    assert reader.end == len(data)
