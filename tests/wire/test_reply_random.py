"""Header fields of replies, whatever a consumer sends: what is accepted reads back as it was sent."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uvicorn.errors import ReplyError
from uvicorn.wire.reply import encode_fields

DROPPED = {b"connection", b"keep-alive", b"transfer-encoding"}
USUAL = ["content-type", "ETag", "Set-Cookie", "Content-Length", "Connection", "Transfer-Encoding", "Date", "x-a_b"]
NAMES = st.one_of(st.sampled_from(USUAL), st.text(alphabet="aZ-_9 :\r\n\0\xe9\u20ac", max_size=4))
VALUES = st.one_of(st.sampled_from(["5", "chunked", "close"]), st.text(alphabet="ab \t:\r\n\0\xe9\u20ac", max_size=6))

# By default an example that takes 200 ms fails, as any does now and then on a busy machine.
UNHURRIED = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


def either(texts):
    """Return texts, or the bytes that they are in latin-1 (others stay text)."""
    return st.tuples(texts, st.booleans()).map(lambda pair: as_bytes(pair[0]) if pair[1] else pair[0])


def as_bytes(text):
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text


def told(fields):
    """Return what came of these fields: the facts, or the error's text."""
    try:
        found = encode_fields(fields)
    except ReplyError as error:
        return type(error), str(error)
    return found.block, found.content_length, found.closes, found.has_date, found.has_server, found.is_plain


@UNHURRIED
@given(st.lists(st.tuples(either(NAMES), either(VALUES)), max_size=5))
def test_what_is_accepted_reads_back_line_by_line(fields):
    try:
        block = encode_fields(fields).block
    except ReplyError:
        return
    expected = [(as_bytes(name) if isinstance(name, str) else name, value) for name, value in fields]
    expected = [(name, as_bytes(value) if isinstance(value, str) else value) for name, value in expected]
    lines = block.split(b"\r\n")
    assert lines.pop() == b""
    assert [tuple(line.split(b": ", 1)) for line in lines] == [
        (name, value) for name, value in expected if name.lower() not in DROPPED
    ]
    assert not any(byte in line for line in lines for byte in (b"\r", b"\n", b"\0"))


@UNHURRIED
@given(st.lists(st.tuples(either(NAMES), either(VALUES)), max_size=5))
def test_pairs_may_be_lists_and_fields_any_iterable(fields):
    expected = told(fields)
    assert told([list(pair) for pair in fields]) == expected
    assert told(tuple(fields)) == expected
    assert told(iter(fields)) == expected
    assert told(fields) == expected  # nothing is remembered
