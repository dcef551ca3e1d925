"""Which replies are legal: sequences, types, header fields, promised lengths."""

from __future__ import annotations

import re
from collections import OrderedDict
from http import HTTPStatus
from types import MappingProxyType

import pytest

from uvicorn.errors import ReplyError, ReplyTypeError
from uvicorn.wire.reply import NO_FIELDS, Fields, encode_fields
from uvicorn.wire.reply_sequence import ReplySequence

WHOLE = {"status": 200, "content": b"x"}
FIRST = {"status": 200, "content": b"x", "more_content": True}
CHUNK = {"content": b"x", "more_content": True}
LAST = {"content": b"x"}


@pytest.mark.parametrize(
    "replies",
    [
        [WHOLE],
        [{"status": 204}],
        [FIRST, LAST],
        [FIRST, CHUNK, CHUNK, LAST],
        [{"status": 200, "more_content": True}, {"more_content": True}, {}],
    ],
)
def test_a_legal_sequence_is_admitted(replies):
    sequence = ReplySequence(is_head=False)
    for reply in replies:
        status, fields, content, more = sequence.admit(reply)
        assert status == reply.get("status", 0)
        assert fields is NO_FIELDS
        assert content == reply.get("content", b"")
        assert more == reply.get("more_content", False)


@pytest.mark.parametrize(
    ("before", "reply", "message"),
    [
        ([], CHUNK, "first reply must have a status"),
        ([], LAST, "first reply must have a status"),
        ([], {}, "first reply must have a status"),
        ([], {"headers": []}, "first reply must have a status"),
        ([FIRST], WHOLE, "this response has begun"),
        ([FIRST], FIRST, "this response has begun"),
        ([FIRST, CHUNK], WHOLE, "this response has begun"),
        ([FIRST], {"headers": [(b"a", b"b")]}, "headers are allowed in the first reply only"),
        *[
            (done, reply, "nothing may be sent after it")
            for done in ([WHOLE], [FIRST, LAST])
            for reply in (WHOLE, FIRST, CHUNK, LAST, {})
        ],
    ],
)
def test_an_illegal_reply_is_refused(before, reply, message):
    sequence = ReplySequence(is_head=False)
    for earlier in before:
        sequence.admit(earlier)
    with pytest.raises(ReplyError, match=message):
        sequence.admit(reply)


def test_a_status_may_be_an_httpstatus():
    status, *_ = ReplySequence(is_head=False).admit({"status": HTTPStatus.NOT_FOUND, "content": b"no"})
    assert (status, type(status)) == (404, int)


class Name(bytes):
    pass


BAD_REPLIES = [
    (None, "a reply must be a dict, not NoneType"),
    (b"hello", "a reply must be a dict, not bytes"),
    ([("status", 200)], "a reply must be a dict, not list"),
    ({"status": "200"}, "status must be an int, not str '200'"),
    ({"status": 200.0}, "status must be an int, not float"),
    ({"status": True}, "status must be an int, not bool"),
    ({"status": 200, "content": "text"}, r"content must be bytes.*str 'text': encode it first.*\.encode\('utf-8'\)"),
    ({"status": 200, "content": None}, "content must be bytes, bytearray or memoryview, not NoneType None$"),
    ({"status": 200, "content": 5}, "content must be bytes.*not int 5"),
    ({"status": 200, "content": [b"a"]}, "content must be bytes.*not list"),
    ({"status": 200, "more_content": 1}, "more_content must be True or False, not int 1"),
    ({"status": 200, "more_content": None}, "more_content must be True or False, not NoneType"),
    ({"status": 200, "headers": ["ab"]}, "headers must be pairs"),
    ({"status": 200, "headers": [b"ab"]}, "header"),
    ({"status": 200, "headers": {"te": "b"}}, "headers must be"),
    ({"status": 200, "headers": [(b"a", b"b", b"c")]}, "headers must be pairs"),
    ({"status": 200, "headers": [5]}, "headers must be pairs"),
    ({"status": 200, "headers": [None]}, "headers must be pairs"),
    ({"status": 200, "headers": {"a": "b"}}, "headers must be"),
    ({"status": 200, "headers": 5}, "headers must be"),
    ({"status": 200, "headers": [(5, b"b")]}, "header name must be bytes, or str in latin-1, not int 5"),
    ({"status": 200, "headers": [(b"a", 5)]}, "header value must be bytes, or str in latin-1, not int 5"),
    ({"status": 200, "headers": [(b"a", None)]}, "header value must be bytes, or str in latin-1, not NoneType"),
    ({"status": 200, "headers": [(b"a", bytearray(b"b"))]}, "header value must be bytes, .*not bytearray"),
    ({"status": 200, "headers": [(b"a", [b"b"])]}, "header value must be bytes, .*not list"),
    ({"status": 200, "headers": [([b"a"], b"b")]}, "header name must be bytes, .*not list"),
    ({"status": 200, "headers": [[b"a", [b"b"]]]}, "header value must be bytes, .*not list"),
]


@pytest.mark.parametrize(("reply", "message"), BAD_REPLIES)
def test_a_wrong_type_is_a_type_error_that_says_what_was_sent(reply, message):
    sequence = ReplySequence(is_head=False)
    with pytest.raises(ReplyTypeError, match=message):
        sequence.admit(reply)
    assert sequence.admit(WHOLE)[0] == 200


BAD_VALUES = [
    ({"status": 100}, "status must be 200 to 599, not 100"),
    ({"status": 199}, "status must be 200 to 599"),
    ({"status": 600}, "status must be 200 to 599"),
    ({"status": -200}, "status must be 200 to 599"),
    ({"status": 200, "body": b"x"}, "cannot have 'body'; allowed are content, file, headers, more_content, slow"),
    ({"status": 200, "z": 1, "a": 2}, "cannot have 'a', 'z';"),
    ({"status": 200, b"content": b"x"}, "cannot have b'content'"),
    ({"status": 200, 5: 6}, "cannot have 5"),
    ({"text": "x"}, "cannot have 'text'"),
    ({"status": 200, "headers": [(b"a", b"b\r\nc: d")]}, "has CR, LF or NUL in it"),
    ({"status": 200, "headers": [(b"a", b"\n")]}, "has CR, LF or NUL"),
    ({"status": 200, "headers": [(b"a", b"\r")]}, "has CR, LF or NUL"),
    ({"status": 200, "headers": [(b"a", b"\0")]}, "has CR, LF or NUL"),
    ({"status": 200, "headers": [("a", "b\nc")]}, "has CR, LF or NUL"),
    ({"status": 200, "headers": [(b"a", b"x"), (b"b", b"\r\n")]}, "value of header bytes b'b' has CR"),
    ({"status": 200, "headers": [(b"a", b"\r"), (b"b", b"\n")]}, "value of header bytes b'a' has CR"),
    ({"status": 200, "headers": [(b"connection", b"x\r\ny: z")]}, "value of header bytes b'connection' has CR"),
    ({"status": 200, "headers": [(b"date", b"x\ny: z")]}, "value of header bytes b'date' has CR"),
    *[
        ({"status": 200, "headers": [(name, b"x")]}, "is not a header name")
        for name in (b"", b" ", b"a b", b"a:", b"a\r\nb", b"a\n", b"a\0", b"\xe9", b"(a)", "a/b", "\xe9", b" a", b"a ")
    ],
    ({"status": 200, "headers": [("\u20ac", b"x")]}, "header name str .* is not latin-1"),
    ({"status": 200, "headers": [(b"a", "\u20ac")]}, "header value str .* is not latin-1"),
    *[
        ({"status": 200, "headers": [(b"content-length", value)]}, "content-length must be a number of bytes")
        for value in (b"", b"x", b"-1", b"+1", b"1.0", b" 1", b"1 ", b"0x1", b"1" * 20, "\xb2")
    ],
    ({"status": 200, "headers": [(b"content-length", b"1"), (b"Content-Length", b"1")]}, "is given twice"),
    ({"status": 200, "headers": [(b"transfer-encoding", b"gzip")]}, "transfer-encoding must be chunked, not"),
    ({"status": 200, "headers": [(b"transfer-encoding", b"gzip, chunked")]}, "transfer-encoding must be chunked"),
    ({"status": 200, "headers": [(b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"1")]}, "exclude each other"),
    ({"status": 200, "headers": [(b"content-length", b"2")], "content": b"x"}, "content-length promised 2 more bytes"),
    ({"status": 200, "headers": [(b"content-length", b"0")], "content": b"x"}, "content-length promised no more bytes"),
    ({"status": 200, "headers": [(b"content-length", b"2")]}, "this is the last reply with 0"),
    ({**FIRST, "headers": [(b"content-length", b"1")], "content": b"xy"}, "this reply has 2"),
]


@pytest.mark.parametrize(("reply", "message"), BAD_VALUES)
def test_a_wrong_value_is_refused_and_the_sequence_stays_where_it_was(reply, message):
    sequence = ReplySequence(is_head=False)
    with pytest.raises(ReplyError, match=message) as caught:
        sequence.admit(reply)
    assert not isinstance(caught.value, TypeError)
    assert sequence.admit(FIRST)[3] is True
    assert sequence.admit(LAST)[3] is False


def test_a_refused_reply_in_a_stream_leaves_the_stream_where_it_was():
    sequence = ReplySequence(is_head=False)
    sequence.admit({"status": 200, "headers": [(b"content-length", b"3")], "content": b"a", "more_content": True})
    for bad in ({"content": "b"}, {"content": b"bcd"}, {"content": b"b"}, {"content": b"bc", "x": 1}, WHOLE, None):
        with pytest.raises(ReplyError):
            sequence.admit(bad)
    assert sequence.admit({"content": b"b", "more_content": True})[2] == b"b"
    assert sequence.admit({"content": b"c"})[2] == b"c"


@pytest.mark.parametrize("status", [200, 204, 304])
@pytest.mark.parametrize("is_head", [False, True])
def test_a_length_without_content_is_right_for_head_204_and_304(status, is_head):
    sequence = ReplySequence(is_head)
    reply = {"status": status, "headers": [(b"content-length", b"5")]}
    if status == 200 and not is_head:
        with pytest.raises(ReplyError):
            sequence.admit(reply)
    else:
        assert sequence.admit(reply)[1].content_length == 5


def test_a_head_may_be_streamed_whatever_was_promised():
    sequence = ReplySequence(is_head=True)
    sequence.admit({"status": 200, "headers": [(b"content-length", b"5")], "more_content": True})
    assert sequence.admit({"content": b"more than five"})[3] is False


@pytest.mark.parametrize("content", [bytearray(b"ab"), memoryview(b"ab"), memoryview(b"a-b-")[::2], Name(b"ab")])
def test_content_may_be_any_bytes_and_is_given_on_as_bytes(content):
    _, _, admitted, _ = ReplySequence(False).admit({"status": 200, "content": content})
    assert type(admitted) is bytes
    assert admitted == b"ab"


@pytest.mark.parametrize("kind", [dict, OrderedDict, MappingProxyType])
def test_a_reply_may_be_any_mapping(kind):
    assert ReplySequence(False).admit(kind(WHOLE))[0] == 200


@pytest.mark.parametrize("headers", [None, [], (), iter(())])
def test_no_headers_may_be_said_in_many_ways(headers):
    assert ReplySequence(False).admit({"status": 200, "headers": headers})[1].block == b""


@pytest.mark.parametrize("in_list", [False, True])
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(b"X-A", b"b")], Fields(b"X-A: b\r\n")),
        ([("X-A", "b")], Fields(b"X-A: b\r\n")),
        ([("x", "\xe9"), (b"x", b"")], Fields(b"x: \xe9\r\nx: \r\n")),
        ([(b"x", b"1"), (b"x", b"1")], Fields(b"x: 1\r\nx: 1\r\n")),
        ([(Name(b"x"), Name(b"1"))], Fields(b"x: 1\r\n")),
        ([(b"!#$%&'*+-.^_`|~09azAZ", b"\t\x80\xff\x7f")], Fields(b"!#$%&'*+-.^_`|~09azAZ: \t\x80\xff\x7f\r\n")),
        ([(b"Content-Length", b"05")], Fields(b"Content-Length: 05\r\n", content_length=5)),
        ([(b"Connection", b"Close")], Fields(b"", closes=True)),
        ([(b"Connection", b"keep-alive, close")], Fields(b"", closes=True)),
        ([(b"connection", b"upgrade")], Fields(b"")),
        ([(b"Keep-Alive", b"timeout=5"), (b"a", b"b")], Fields(b"a: b\r\n")),
        ([(b"Transfer-Encoding", b" Chunked ")], Fields(b"")),
        ([(b"DATE", b"x")], Fields(b"DATE: x\r\n", has_date=True)),
        ([("Server", b"x")], Fields(b"Server: x\r\n", has_server=True)),
    ],
)
def test_header_fields_are_encoded_as(headers, expected, in_list):
    fields = encode_fields([list(pair) for pair in headers] if in_list else iter(headers))
    assert facts(fields) == facts(expected)
    is_special = re.match(rb"(?i)connection|keep|transfer|date|server|content-length", bytes_of(headers[0][0]))
    assert fields.is_plain is not bool(is_special)


def test_a_length_alone_leaves_a_reply_simple():
    assert Fields(b"").is_simple()
    assert encode_fields([(b"content-length", b"5"), (b"a", b"b")]).is_simple()
    for name in (b"date", b"server"):
        assert not encode_fields([(b"content-length", b"5"), (name, b"x")]).is_simple()
    assert not encode_fields([(b"connection", b"close")]).is_simple()
    assert not Fields(b"").declaring(True, b"").is_simple()
    assert not Fields(b"").declaring(False, b"a: b\r\n").is_simple()
    assert not Fields(b"").declaring(False, b"", file=object()).is_simple()


def test_fields_are_the_same_without_their_length():
    fields = encode_fields([(b"Content-Length", b"0"), (b"Date", b"x"), (b"a", b"b")]).unmeasured()
    assert facts(fields) == (b"Date: x\r\na: b\r\n", None, False, True, False)
    assert encode_fields([(b"content-length", b"0")]).unmeasured().block == b""


def facts(fields):
    return fields.block, fields.content_length, fields.closes, fields.has_date, fields.has_server


def bytes_of(name):
    return name if isinstance(name, bytes) else name.encode()


@pytest.mark.parametrize("name", [b"date", b"server"])
def test_a_field_that_is_sent_once_cannot_be_given_twice(name):
    with pytest.raises(ReplyError, match=r"(date|server) is given twice"):
        encode_fields([(name, b"a"), (name.upper(), b"b")])


def test_many_different_fields_are_encoded_right():
    for number in range(5000):
        field = (b"x-%d" % number, b"v%d" % number)
        assert encode_fields([field]).block == b"x-%d: v%d\r\n" % (number, number)


def test_a_very_long_value_is_cut_in_the_error():
    with pytest.raises(ReplyError) as caught:
        encode_fields([(b"a", b"x" * 10000 + b"\n")])
    assert len(str(caught.value)) < 300
