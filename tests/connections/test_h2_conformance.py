"""What a server must do with odd frames, by the sections of RFC 9113 and RFC 7541, over both engines.

The cases are those that conformance suites have. Where the RFC allows the connection to be ended for a mistake on one
stream (section 5.4.2), both are right: h2 does so often.
"""

from __future__ import annotations

import struct

import pytest
from clients import Kept
from h2_clients import connect
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

PROTOCOL_ERROR, FLOW_CONTROL, STREAM_CLOSED, FRAME_SIZE, REFUSED, COMPRESSION = 1, 3, 5, 6, 7, 9
GET = [(":method", "GET"), (":scheme", "http"), (":authority", "example.org"), (":path", "/")]
POST = [(":method", "POST"), *GET[1:]]


def frame(kind, flags, stream, payload=b""):
    """Return a frame of any kind, whatever it is worth."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def head(stream, fields=GET, ends=True, more=False, **options):
    flags = (["END_STREAM"] if ends else []) + ([] if more else ["END_HEADERS"])
    return HeadersFrame(stream, Encoder().encode(fields, huffman=False), flags=flags, **options).serialize()


def block(fields=GET):
    return Encoder().encode(fields)


END_STREAM, END_HEADERS, PADDED, PRIORITY = 0x1, 0x4, 0x8, 0x20

# section and case -> bytes, the codes of a GOAWAY that are right, and those of a RST_STREAM
ERRORS = {
    "4.2 a frame larger than SETTINGS_MAX_FRAME_SIZE": (
        head(1, POST, ends=False) + frame(0, 0, 1, b"x" * 16385), {FRAME_SIZE}, {FRAME_SIZE},
    ),
    "4.2 a head larger than SETTINGS_MAX_FRAME_SIZE": (frame(1, 5, 1, block() + b"x" * 16385), {FRAME_SIZE}, ()),
    "4.3 a head that cannot be decoded": (frame(1, 5, 1, b"\x00\x00\xff\xff\xff"), {COMPRESSION, PROTOCOL_ERROR}, ()),
    "4.3 a frame of another stream in the middle of a head": (
        head(1, more=True) + frame(2, 0, 3, b"\0\0\0\0\0"), {PROTOCOL_ERROR}, (),
    ),
    "4.3 another head in the middle of a head": (head(1, more=True) + head(3), {PROTOCOL_ERROR}, ()),
    "4.3 an unknown frame in the middle of a head": (head(1, more=True) + frame(0x16, 0, 1), {PROTOCOL_ERROR}, ()),
    "5.1 idle: DATA": (frame(0, 1, 1, b"x"), {PROTOCOL_ERROR, STREAM_CLOSED}, ()),
    "5.1 idle: RST_STREAM": (frame(3, 0, 1, b"\0\0\0\x08"), {PROTOCOL_ERROR}, ()),
    "5.1 idle: WINDOW_UPDATE": (frame(8, 0, 1, b"\0\0\0\x64"), {PROTOCOL_ERROR}, ()),
    "5.1 idle: CONTINUATION": (frame(9, 4, 1, block()), {PROTOCOL_ERROR}, ()),
    "5.1 half closed: DATA": (head(1) + frame(0, 1, 1, b"x"), {STREAM_CLOSED, PROTOCOL_ERROR}, {STREAM_CLOSED}),
    "5.1 half closed: HEADERS": (head(1) + head(1), {STREAM_CLOSED, PROTOCOL_ERROR}, {STREAM_CLOSED}),
    "5.1 half closed: CONTINUATION": (head(1) + frame(9, 4, 1, block()), {STREAM_CLOSED, PROTOCOL_ERROR}, ()),
    "5.1 closed by RST_STREAM: HEADERS": (
        head(1) + frame(3, 0, 1, b"\0\0\0\x08") + head(1), {STREAM_CLOSED, PROTOCOL_ERROR}, {STREAM_CLOSED},
    ),
    "5.1 closed by RST_STREAM: CONTINUATION": (
        head(1) + frame(3, 0, 1, b"\0\0\0\x08") + frame(9, 4, 1, block()), {STREAM_CLOSED, PROTOCOL_ERROR}, (),
    ),
    "5.1.1 a stream with an even number": (head(2), {PROTOCOL_ERROR}, ()),
    "5.1.1 a number that is not larger": (head(5) + head(3), {PROTOCOL_ERROR, STREAM_CLOSED}, ()),
    "6.1 DATA on stream 0": (frame(0, 0, 0, b"x"), {PROTOCOL_ERROR}, ()),
    "6.1 DATA with more padding than payload": (
        head(1, POST, ends=False) + frame(0, PADDED, 1, b"\xff" + b"x" * 4), {PROTOCOL_ERROR}, (),
    ),
    "6.2 HEADERS on stream 0": (frame(1, 5, 0, block()), {PROTOCOL_ERROR}, ()),
    "6.2 HEADERS with more padding than payload": (
        frame(1, END_STREAM | END_HEADERS | PADDED, 1, b"\xff" + block()), {PROTOCOL_ERROR}, (),
    ),
    "6.3 PRIORITY on stream 0": (frame(2, 0, 0, b"\0\0\0\0\0"), {PROTOCOL_ERROR}, ()),
    "6.3 PRIORITY of another size": (
        head(1, POST, ends=False) + frame(2, 0, 1, b"\0\0\0\0"), {FRAME_SIZE}, {FRAME_SIZE},
    ),
    "6.4 RST_STREAM on stream 0": (frame(3, 0, 0, b"\0\0\0\x08"), {PROTOCOL_ERROR}, ()),
    "6.4 RST_STREAM of another size": (head(1, POST, ends=False) + frame(3, 0, 1, b"\0\0\x08"), {FRAME_SIZE}, ()),
    "6.5 SETTINGS: an ACK with a payload": (frame(4, 1, 0, b"\0\x04\0\0\0\x64"), {FRAME_SIZE, PROTOCOL_ERROR}, ()),
    "6.5 SETTINGS on a stream": (frame(4, 0, 1, b"\0\x04\0\0\0\x64"), {PROTOCOL_ERROR}, ()),
    "6.5 SETTINGS of another size": (frame(4, 0, 0, b"\0\x04\0\0\0"), {FRAME_SIZE}, ()),
    "6.5.2 ENABLE_PUSH": (frame(4, 0, 0, b"\0\x02\0\0\0\x02"), {PROTOCOL_ERROR}, ()),
    "6.5.2 INITIAL_WINDOW_SIZE": (frame(4, 0, 0, b"\0\x04\x80\0\0\0"), {FLOW_CONTROL}, ()),
    "6.5.2 MAX_FRAME_SIZE below": (frame(4, 0, 0, b"\0\x05\0\0\x3f\xff"), {PROTOCOL_ERROR}, ()),
    "6.5.2 MAX_FRAME_SIZE above": (frame(4, 0, 0, b"\0\x05\x01\0\0\0"), {PROTOCOL_ERROR}, ()),
    "6.6 PUSH_PROMISE of a client": (head(1) + frame(5, 4, 1, b"\0\0\0\x02" + block()), {PROTOCOL_ERROR}, ()),
    "6.7 PING on a stream": (frame(6, 0, 1, b"12345678"), {PROTOCOL_ERROR}, ()),
    "6.7 PING of another size": (frame(6, 0, 0, b"123456"), {FRAME_SIZE}, ()),
    "6.8 GOAWAY on a stream": (frame(7, 0, 1, bytes(8)), {PROTOCOL_ERROR}, ()),
    "6.9 WINDOW_UPDATE of 0 for the connection": (frame(8, 0, 0, bytes(4)), {PROTOCOL_ERROR}, ()),
    "6.9 WINDOW_UPDATE of 0 for a stream": (
        head(1, POST, ends=False) + frame(8, 0, 1, bytes(4)), {PROTOCOL_ERROR}, {PROTOCOL_ERROR},
    ),
    "6.9 WINDOW_UPDATE of another size": (frame(8, 0, 0, b"\0\0\x01"), {FRAME_SIZE}, ()),
    "6.9.1 a window of the connection above the largest": (
        frame(8, 0, 0, b"\x7f\xff\xff\xff") * 2, {FLOW_CONTROL}, (),
    ),
    "6.9.1 a window of a stream above the largest": (
        head(1, POST, ends=False) + frame(8, 0, 1, b"\x7f\xff\xff\xff") * 2, {FLOW_CONTROL}, {FLOW_CONTROL},
    ),
    "6.9.1 more DATA than the window": (
        head(1, POST, ends=False) + b"".join(frame(0, 0, 1, b"x" * 16384) for _ in range(8)),
        {FLOW_CONTROL}, {FLOW_CONTROL},
    ),
    "6.10 CONTINUATION on stream 0": (head(1, more=True) + frame(9, 4, 0), {PROTOCOL_ERROR}, ()),
    "6.10 CONTINUATION behind a complete head": (head(1) + frame(9, 4, 1), {PROTOCOL_ERROR, STREAM_CLOSED}, ()),
    "6.10 CONTINUATION behind DATA": (
        head(1, POST, ends=False) + frame(0, 0, 1, b"x") + frame(9, 4, 1), {PROTOCOL_ERROR}, (),
    ),
    "8.1 trailers without END_STREAM": (
        head(1, POST, ends=False) + head(1, [("x", "y")], ends=False), {PROTOCOL_ERROR}, {PROTOCOL_ERROR},
    ),
    "8.1 a pseudo-field in trailers": (
        head(1, POST, ends=False) + head(1, [(":method", "GET")]), {PROTOCOL_ERROR}, {PROTOCOL_ERROR},
    ),
    "8.1.1 less content than its length": (
        head(1, [*POST, ("content-length", "2")], ends=False) + frame(0, 1, 1, b"x"),
        {PROTOCOL_ERROR}, {PROTOCOL_ERROR},
    ),
    "8.1.1 more content than its length": (
        head(1, [*POST, ("content-length", "1")], ends=False) + frame(0, 0, 1, b"x") + frame(0, 1, 1, b"x"),
        {PROTOCOL_ERROR}, {PROTOCOL_ERROR},
    ),
    "RFC 7541 2.3.3 an index outside the tables": (
        frame(1, 5, 1, block() + b"\xc6"), {COMPRESSION, PROTOCOL_ERROR}, (),
    ),
    "RFC 7541 4.2 a change of the table in the middle": (
        frame(1, 5, 1, block() + b"\x20"), {COMPRESSION, PROTOCOL_ERROR}, (),
    ),
    "RFC 7541 5.2 Huffman: a padding longer than 7 bits": (
        frame(1, 5, 1, block() + b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"),
        {COMPRESSION, PROTOCOL_ERROR}, (),
    ),
    "RFC 7541 5.2 Huffman: EOS in a string": (
        frame(1, 5, 1, block() + b"\x00\x83\xff\xff\xff\xff\x01a"), {COMPRESSION, PROTOCOL_ERROR}, (),
    ),
    "RFC 7541 6.1 index 0": (frame(1, 5, 1, block() + b"\x80"), {COMPRESSION, PROTOCOL_ERROR}, ()),
    "RFC 7541 6.3 a table larger than was allowed": (
        frame(1, 5, 1, b"\x3f\xe2\x1f" + block()), {COMPRESSION, PROTOCOL_ERROR}, (),
    ),
}  # fmt: skip


# What libnghttp2 drops without a word, on purpose: frames that may have crossed with the end of their stream, and
# priorities that were negotiated away.
DROPPED_BY_NGH2 = {
    "5.1 closed by RST_STREAM: HEADERS",
    "5.1.1 a number that is not larger",
    "6.3 PRIORITY on stream 0",
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_is_answered_as_the_rfc_has_it(make_http2, case):
    data, goaways, resets = ERRORS[case]
    client = connect(make_http2(Kept()), is_raw=True)
    client.begin()
    client.raw(data)
    frames = client.frames()
    ended = [found.error_code for found in frames if isinstance(found, GoAwayFrame)]
    reset = [found.error_code for found in frames if isinstance(found, RstStreamFrame)]
    if make_http2.engine == "ngh2" and case in DROPPED_BY_NGH2:
        assert (ended, reset) == ([], [])
        return
    assert ended or reset or client.is_closed, frames
    assert set(ended) <= set(goaways)
    if not ended:
        assert set(reset) <= set(resets)
        assert reset
    client.site.log.take("info")


FINE = {
    "4.1 an unknown frame": frame(0x16, 0xFF, 0, b"whatever"),
    "4.1 an unknown flag": frame(6, 0x16, 0, b"12345678"),
    "4.1 a reserved bit": frame(6, 0, 0, b"12345678").replace(b"\0\0\0\0" + b"1", b"\x80\0\0\0" + b"1"),
    "5.1 idle: PRIORITY": frame(2, 0, 7, b"\0\0\0\0\x10"),
    "5.5 an unknown setting": frame(4, 0, 0, b"\0\xff\0\0\0\x01"),
    "6.2 HEADERS with priority and padding": frame(
        1, END_STREAM | END_HEADERS | PADDED | PRIORITY, 3, b"\x05" + b"\0\0\0\0\x10" + block() + bytes(5)
    ),
    "6.5 an empty SETTINGS": frame(4, 0, 0),
    "6.5.3 SETTINGS twice": frame(4, 0, 0, b"\0\x04\0\0\0\x64") * 2,
    "6.7 PING with an ACK that nobody asked for": frame(6, 1, 0, b"12345678"),
    "6.10 a head in three frames": head(3, more=True) + frame(9, 0, 3) + frame(9, 4, 3),
    "RFC 7541 4.2 a smaller table at the beginning": frame(1, 5, 3, b"\x20" + Encoder().encode(GET[:0]) + block()),
}


@pytest.mark.parametrize("case", FINE)
def test_what_is_allowed_is_taken_and_the_connection_goes_on(make_http2, case):
    kept = Kept()
    client = connect(make_http2(kept), is_raw=True)
    client.begin()
    client.raw(FINE[case])
    client.raw(head(9))
    assert kept.messages
    frames = client.frames()
    assert not [found for found in frames if isinstance(found, (GoAwayFrame, RstStreamFrame))]


def test_a_ping_is_answered_with_its_own_bytes(make_http2):
    client = connect(make_http2(Kept()), is_raw=True)
    client.begin(PingFrame(0, b"abcdefgh"))
    pongs = [found for found in client.frames() if isinstance(found, PingFrame)]
    assert [(pong.opaque_data, "ACK" in pong.flags) for pong in pongs] == [(b"abcdefgh", True)]


def test_settings_are_acknowledged_and_come_first(make_http2):
    client = connect(make_http2(Kept()), is_raw=True)
    client.begin(SettingsFrame(0, settings={4: 100}))
    frames = client.frames()
    assert isinstance(frames[0], SettingsFrame)
    assert not frames[0].flags
    assert sum(isinstance(found, SettingsFrame) and "ACK" in found.flags for found in frames) == 2


@pytest.mark.parametrize("preface", [b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r"])
def test_a_wrong_preface_is_refused(make_http2, preface):
    client = connect(make_http2(Kept(), cleartext="off"), is_raw=True, is_tls=True)
    client.raw(preface + bytes(9))
    assert client.is_closed or client.transport.is_eof_written
    client.site.log.take("info")


def test_frames_before_settings_are_refused(make_http2):
    client = connect(make_http2(Kept()), is_raw=True)
    client.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + head(1))
    assert client.site.log.take("error") == []


def test_a_changed_initial_window_holds_for_streams_that_are_open(make_http2):
    """RFC 9113 section 6.9.2: the window of a stream may even become negative."""

    async def consumer(message):
        message["reply_channel"].send({"status": 200, "content": b"x" * 100})

    client = connect(make_http2(consumer), is_raw=True)
    client.begin(SettingsFrame(0, settings={4: 10}), head(1))
    client.raw(SettingsFrame(0, settings={4: 3}))
    client.raw(WindowUpdateFrame(1, window_increment=2))
    sent = [found for found in client.frames() if isinstance(found, DataFrame)]
    assert sum(len(found.data) for found in sent) == 10
    client.raw(SettingsFrame(0, settings={4: 200}))
    sent += [found for found in client.frames() if isinstance(found, DataFrame)]
    assert sum(len(found.data) for found in sent) == 100
    assert "END_STREAM" in sent[-1].flags


def test_no_frame_is_larger_than_the_client_allows(make_http2):
    async def consumer(message):
        message["reply_channel"].send({"status": 200, "headers": [(b"x", b"y" * 20_000)], "content": b"x" * 60_000})

    client = connect(make_http2(consumer), is_raw=True)
    client.begin(head(1))
    frames = client.frames()
    assert max(found.body_len for found in frames) <= 16384
    assert any(isinstance(found, ContinuationFrame) for found in frames)


def test_a_priority_that_depends_on_its_own_stream_harms_nobody(make_http2):
    client = connect(make_http2(Kept()), is_raw=True)
    client.begin(PriorityFrame(1, depends_on=1, stream_weight=1))
    client.raw(head(3))
    assert client.site.log.take("error") == []
