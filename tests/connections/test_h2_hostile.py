"""Hostile clients of HTTP/2, each with raw frames and the bound that docs/http2.md says: over both engines."""

from __future__ import annotations

import pytest
from clients import Echo, Kept
from doubles import FakePeers
from h2_clients import connect
from hpack import Encoder
from hpack.hpack import encode_integer
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

CALM = 0xB
PROTOCOL_ERROR = 0x1
GET = [(":method", "GET"), (":scheme", "http"), (":authority", "example.org"), (":path", "/")]
POST = [(":method", "POST"), *GET[1:]]


class Attacker:
    """A client that sends raw frames."""

    def __init__(self, site, proxy_header=b"", **options):
        self.client = connect(site, is_raw=True, **options)
        self.encoder = Encoder()
        if proxy_header:
            self.client.raw(proxy_header)
        self.client.begin()

    def head(self, stream, fields=GET, ends=True):
        frame = HeadersFrame(stream, self.encoder.encode(fields), flags=["END_HEADERS"])
        if ends:
            frame.flags.add("END_STREAM")
        return frame.serialize()

    def send(self, *parts):
        self.client.raw(*parts)

    @property
    def goaway(self):
        """The error code of the last GOAWAY, or None."""
        codes = [frame.error_code for frame in self.client.frames() if isinstance(frame, GoAwayFrame)]
        return codes[-1] if codes else None

    def closed_with(self, *codes):
        """Check that the connection was closed with one of these codes, and one line in the log says so."""
        assert self.goaway in codes
        assert self.client.transport.is_eof_written or self.client.is_closed
        lines = [line for line in self.client.site.log.take("info") if "Closing the HTTP/2 connection" in line]
        assert len(lines) == 1
        return lines[0]


@pytest.fixture
def attack(make_http2):
    """Start an attack on a site."""

    def start(application, **options):
        return Attacker(make_http2(application, **options))

    return start


# ---- floods ----


def test_rapid_reset(attack):
    kept = Kept()
    attacker = attack(kept)
    stream = 1
    while attacker.client.transport.is_eof_written is False and stream < 4000:
        attacker.send(
            *(attacker.head(at) + RstStreamFrame(at, error_code=8).serialize() for at in range(stream, stream + 20, 2))
        )
        stream += 20
    assert "resets" in attacker.closed_with(CALM)
    assert len(kept.messages) <= 212


def test_resets_of_answered_requests_cost_half_of_what_they_earn(attack):
    attacker = attack(Echo())
    for stream in range(1, 2001, 2):
        attacker.send(attacker.head(stream))
        attacker.send(RstStreamFrame(stream, error_code=8))
    assert attacker.goaway is None


def test_a_proxy_whose_client_resets_without_end_loses_nothing_of_its_other_clients(make_http2):
    kept = Kept()
    attacker = Attacker(make_http2(kept, peers=FakePeers(is_trusted=True)))
    attacker.send(attacker.head(1))
    for stream in range(3, 603, 2):
        attacker.send(attacker.head(stream), RstStreamFrame(stream, error_code=8))
    [goaway] = [frame for frame in attacker.client.frames() if isinstance(frame, GoAwayFrame)]
    assert (goaway.error_code, goaway.last_stream_id) == (0, 2 * len(kept.messages) - 1)
    assert len(kept.messages) <= 212
    assert not attacker.client.transport.is_eof_written
    kept.reply(0, status=200, content=b"of another client")
    attacker.client.site.settle()
    assert attacker.client.received_heads() == ["200"]
    assert attacker.client.transport.is_eof_written
    [line] = attacker.client.site.log.take("info")
    assert line.startswith("The proxy ")
    assert line.endswith(" has to connect anew: too many resets")


def test_a_client_that_a_proxy_header_has_named_is_no_proxy(make_http2):
    class Peers(FakePeers):
        def policy_behind(self, address, client):
            return FakePeers().header_policy(client)

    site = make_http2(Kept(), peers=Peers(proxy_mode="auto", is_trusted=True))
    attacker = Attacker(site, b"PROXY TCP4 198.51.100.9 203.0.113.1 4000 443\r\n")
    for stream in range(1, 603, 2):
        attacker.send(attacker.head(stream), RstStreamFrame(stream, error_code=8))
    assert "resets" in attacker.closed_with(CALM)


def test_a_client_that_opens_its_window_for_each_small_response_is_served_for_ever(attack):
    """As HAProxy does, and others: two frames for each piece of content that they took."""
    attacker = attack(Echo())
    for stream in range(1, 6001, 6):
        for at in (stream, stream + 2, stream + 4):
            attacker.send(attacker.head(at))
        opened = [WindowUpdateFrame(at, window_increment=6) for at in (0, stream, 0, stream + 2, 0, stream + 4)]
        attacker.send(*opened)
    assert attacker.goaway is None


def test_a_connection_that_breaks_off_names_the_last_stream_that_may_have_been_served(attack):
    attacker = attack(Kept())
    attacker.send(attacker.head(1), attacker.head(3))
    attacker.send(SettingsFrame(0, settings={4: 100}).serialize().replace(b"\x00\x00\x00\x64", b"\x80\x00\x00\x00"))
    [goaway] = [frame for frame in attacker.client.frames() if isinstance(frame, GoAwayFrame)]
    assert goaway.last_stream_id == 3


def test_made_you_reset(attack):
    """CVE-2025-8671: the server resets streams for mistakes of the client, and their consumers go on."""
    kept = Kept()
    attacker = attack(kept)
    stream = 1
    while attacker.client.transport.is_eof_written is False and stream < 4000:
        attacker.send(attacker.head(stream), WindowUpdateFrame(stream, window_increment=2**31 - 1))
        stream += 2
    attacker.closed_with(CALM, 3)  # h2 ends the connection at the first one
    assert len(kept.messages) <= 202


def test_malformed_heads_without_end(attack):
    attacker = attack(Echo())
    stream = 1
    bad = [*GET[:3], (":path", "*bad")]
    while attacker.client.transport.is_eof_written is False and stream < 4000:
        attacker.send(attacker.head(stream, bad))
        stream += 2
    attacker.closed_with(CALM)
    assert stream <= 2 * 202 + 1


def frame_flood(kind):
    settings = SettingsFrame(0, settings={4: 70_000}).serialize()
    return {
        "settings": settings,
        "ping": PingFrame(0, b"12345678").serialize(),
        "window": WindowUpdateFrame(0, window_increment=1).serialize(),
        "priority": bytes.fromhex("000007100000000000") + b"\0\0\0\x01u=1",
        "empty": DataFrame(1, b"").serialize(),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "bound"), [("settings", 50), ("ping", 200), ("window", 2000), ("priority", 500), ("empty", 200)]
)
def test_a_flood_of_frames_that_bring_nothing(attack, kind, bound):
    attacker = attack(Kept())
    attacker.send(attacker.head(1, POST, ends=False))
    frame = frame_flood(kind)
    for _ in range(bound - 20):
        attacker.send(frame)
    assert attacker.goaway is None
    for _ in range(60):
        attacker.send(frame)
    attacker.closed_with(CALM)


def test_a_flood_of_old_priorities_is_bounded_or_costs_nothing(attack):
    attacker = attack(Echo())
    frame = PriorityFrame(1, depends_on=0, stream_weight=1).serialize()
    for _ in range(200):
        attacker.send(frame * 100)
    if not attacker.client.transport.is_eof_written:
        attacker.send(attacker.head(3))
    assert attacker.client.transport.is_eof_written or len(attacker.client.received_heads()) == 1


def test_a_flood_of_continuations(attack):
    """CVE-2024-27316."""
    attacker = attack(Echo())
    block = Encoder().encode([*GET, ("x", "a" * 100)])
    attacker.send(HeadersFrame(1, block, flags=["END_STREAM"]))
    for _ in range(100):
        attacker.send(ContinuationFrame(1, b""))
        if attacker.client.transport.is_eof_written:
            break
    attacker.closed_with(CALM, PROTOCOL_ERROR)


def test_a_head_that_never_ends_has_its_time(make_http2):
    attacker = Attacker(make_http2(Echo(), header_timeout=3))
    attacker.send(HeadersFrame(1, Encoder().encode(GET), flags=["END_STREAM"]))
    attacker.client.site.pass_time(8)
    attacker.closed_with(CALM)


def test_a_connection_that_asks_for_nothing_has_its_time(make_http2):
    attacker = Attacker(make_http2(Echo(), header_timeout=3))
    attacker.client.site.pass_time(8)
    assert attacker.client.transport.is_eof_written or attacker.client.is_closed


def test_a_header_bomb_by_size(attack):
    """CVE-2026-49975: small on the wire, large when it is decoded."""
    attacker = attack(Echo())
    encoder = Encoder()
    encoder.encode([("x", "a" * 4000)])
    block = encoder.encode(GET) + Encoder().encode([("x", "a" * 4000)]) + b"\xbe" * 1000
    attacker.send(HeadersFrame(1, block, flags=["END_STREAM", "END_HEADERS"]))
    attacker.closed_with(CALM)


def test_a_header_bomb_by_count(attack):
    attacker = attack(Echo(), numbers={"most_fields": 300})
    block = Encoder().encode(GET) + b"\x90" * 1500  # accept-encoding: gzip, deflate
    attacker.send(HeadersFrame(1, block, flags=["END_STREAM", "END_HEADERS"]))
    frames = attacker.client.frames()
    statuses = [frame for frame in frames if isinstance(frame, HeadersFrame)]
    codes = [frame.error_code for frame in frames if isinstance(frame, GoAwayFrame)]
    assert codes == [CALM] or len(statuses) == 1  # by its count, or 431 for what the size lets pass


def test_an_integer_of_hpack_that_does_not_end(attack):
    attacker = attack(Echo())
    attacker.send(HeadersFrame(1, b"\xff" + b"\xff" * 20 + b"\x01", flags=["END_STREAM", "END_HEADERS"]))
    attacker.closed_with(PROTOCOL_ERROR, 0x9)


def test_a_table_size_of_hpack_that_is_too_large(attack):
    attacker = attack(Echo())
    size = encode_integer(1 << 20, 5)
    size[0] |= 0x20
    block = bytes(size) + Encoder().encode(GET)
    attacker.send(HeadersFrame(1, block, flags=["END_STREAM", "END_HEADERS"]))
    attacker.closed_with(PROTOCOL_ERROR, 0x9)


# ---- slow clients ----


def test_windows_of_zero_for_ever(make_http2):
    async def consumer(message):
        message["reply_channel"].send({"status": 200, "content": b"x" * 100_000})

    attacker = Attacker(make_http2(consumer, write_timeout=5, min_write_rate=0, keepalive=100))
    attacker.send(SettingsFrame(0, settings={4: 0}))
    attacker.send(*(attacker.head(stream) for stream in range(1, 101, 2)))
    site = attacker.client.site
    connection = next(iter(site.service.connections))
    assert len(connection.streams) == 50
    site.pass_time(12)
    assert not connection.streams
    resets = [frame for frame in attacker.client.frames() if isinstance(frame, RstStreamFrame)]
    assert len(resets) == 50


def test_a_hundred_streams_that_drip(make_http2):
    kept = Kept()
    attacker = Attacker(make_http2(kept, min_body_rate=240, min_rate_grace=4, body_timeout=30, keepalive=100))
    attacker.send(*(attacker.head(stream, POST, ends=False) for stream in range(1, 201, 2)))
    site = attacker.client.site
    connection = next(iter(site.service.connections))
    assert len(connection.streams) == 100
    for _ in range(12):
        if connection.streams:
            attacker.send(*(DataFrame(stream, b"x") for stream in list(connection.streams)))
        site.pass_time(1)
    assert not connection.streams
    statuses = [frame for frame in attacker.client.frames() if isinstance(frame, HeadersFrame)]
    assert len(statuses) == 100


def test_more_streams_than_there_may_be_are_not_served(make_http2):
    kept = Kept()
    attacker = Attacker(make_http2(kept, numbers={"streams": 10}))
    attacker.send(SettingsFrame(0, flags=["ACK"]))
    attacker.send(*(attacker.head(stream) for stream in range(1, 61, 2)))
    assert len(kept.messages) <= 10


def test_a_client_that_takes_nothing_is_not_read_from(make_http2):
    attacker = Attacker(make_http2(Echo()))
    transport = attacker.client.transport
    transport.is_stalled = True
    big = (
        SettingsFrame(0, settings={4: 1 << 20}).serialize() + WindowUpdateFrame(0, window_increment=1 << 24).serialize()
    )
    attacker.send(big)
    for stream in range(1, 400, 2):
        attacker.send(attacker.head(stream, [*GET[:3], (":path", "/" + "x" * 3000)]))
        if transport.is_paused:
            break
    assert transport.is_paused
    assert len(transport.unsent) < 200_000


# ---- smuggling by downgrade ----

MALFORMED = {
    "upper case": [*GET, ("X-Upper", "a")],
    "a space in a name": [*GET, ("x y", "a")],
    "a colon in a name": [*GET, ("x:y", "a")],
    "CR LF in a value": [*GET, ("x", "a\r\nHost: evil")],
    "LF in a value": [*GET, ("x", "a\nb")],
    "NUL in a value": [*GET, ("x", "a\0b")],
    "white space before a value": [*GET, ("x", " a")],
    "white space behind a value": [*GET, ("x", "a\t")],
    "connection": [*GET, ("connection", "close")],
    "keep-alive": [*GET, ("keep-alive", "1")],
    "proxy-connection": [*GET, ("proxy-connection", "close")],
    "transfer-encoding": [*POST, ("transfer-encoding", "chunked")],
    "upgrade": [*GET, ("upgrade", "h2c")],
    "te": [*GET, ("te", "gzip")],
    "two methods": [GET[0], *GET],
    "two paths": [*GET, (":path", "/b")],
    "two authorities": [*GET[:3], GET[2], GET[3]],
    "a pseudo-field behind a field": [*GET[:3], ("x", "y"), GET[3]],
    "an unknown pseudo-field": [*GET, (":unknown", "a")],
    "a pseudo-field of responses": [*GET, (":status", "200")],
    "no method": GET[1:],
    "no scheme": [GET[0], *GET[2:]],
    "no path": GET[:3],
    "no authority": [*GET[:2], GET[3]],
    "an empty authority": [*GET[:2], (":authority", ""), GET[3]],
    "an empty Host": [*GET[:2], GET[3], ("host", "")],
    "an empty path": [*GET[:3], (":path", "")],
    "a path without a slash": [*GET[:3], (":path", "a")],
    "a path with a space": [*GET[:3], (":path", "/a b")],
    "a path with CR LF": [*GET[:3], (":path", "/ HTTP/1.1\r\nHost: evil")],
    "a path with a fragment": [*GET[:3], (":path", "/a#b")],
    "an asterisk for GET": [*GET[:3], (":path", "*")],
    "a method with CR LF": [(":method", "GET / HTTP/1.1\r\n"), *GET[1:]],
    "a scheme that is none": [GET[0], (":scheme", "gopher"), *GET[2:]],
    "an authority with a path": [*GET[:2], (":authority", "a/b"), GET[3]],
    "an authority with a user": [*GET[:2], (":authority", "me@a"), GET[3]],
    "another Host": [*GET, ("host", "evil.example")],
    "two Hosts": [*GET, ("host", "example.org"), ("host", "example.org")],
    "a length beside no content": [*POST, ("content-length", "5")],
    "two lengths": [*POST, ("content-length", "0"), ("content-length", "5")],
    "a length that is none": [*POST, ("content-length", "-1")],
    "a length with a sign": [*POST, ("content-length", "+0")],
    ":protocol without CONNECT": [*GET, (":protocol", "websocket")],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_head_never_reaches_a_consumer(attack, name):
    echo = Echo()
    attacker = attack(echo)
    attacker.send(attacker.head(1, MALFORMED[name]))
    assert echo.messages == []
    frames = attacker.client.frames()
    ends = [frame for frame in frames if isinstance(frame, (RstStreamFrame, GoAwayFrame))]
    assert [frame.error_code for frame in ends] == [PROTOCOL_ERROR]
    assert not any(isinstance(frame, HeadersFrame) for frame in frames)


@pytest.mark.parametrize("length", ["3", "10"])
def test_a_length_that_is_not_true(attack, length):
    echo = Echo()
    attacker = attack(echo)
    attacker.send(
        attacker.head(1, [*POST, ("content-length", length)], ends=False), DataFrame(1, b"12345", flags=["END_STREAM"])
    )
    assert echo.messages == []
    ends = [frame for frame in attacker.client.frames() if isinstance(frame, (RstStreamFrame, GoAwayFrame))]
    assert [frame.error_code for frame in ends] == [PROTOCOL_ERROR]


def test_a_length_that_is_not_true_where_trailers_end_the_content(attack):
    echo = Echo()
    attacker = attack(echo)
    attacker.send(
        attacker.head(1, [*POST, ("content-length", "5")], ends=False),
        DataFrame(1, b"abc"),
        attacker.head(1, [("x-checksum", "0")]),
    )
    assert echo.messages == []
    ends = [frame for frame in attacker.client.frames() if isinstance(frame, (RstStreamFrame, GoAwayFrame))]
    assert [frame.error_code for frame in ends] == [PROTOCOL_ERROR]


REFUSED = {
    "an unknown method": (501, [(":method", "BREW"), *GET[1:]]),
    "CONNECT to a host": (501, [(":method", "CONNECT"), (":authority", "example.org:443")]),
    "an unknown protocol": (501, [(":method", "CONNECT"), *GET[1:], (":protocol", "other")]),
    "an expectation": (417, [*GET, ("expect", "tea")]),
    "a long path": (414, [*GET[:3], (":path", "/" + "a" * 4094)]),
    "a long field": (431, [*GET, ("x", "a" * 8190)]),
    "many fields": (431, [*GET, *((f"x-{number}", "") for number in range(101))]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_well_formed_and_not_served_has_the_status_of_http11(attack, name):
    echo = Echo()
    attacker = attack(echo)
    status, fields = REFUSED[name]
    block = attacker.encoder.encode(fields)
    parts = [block[at : at + 16384] for at in range(0, len(block), 16384)]
    attacker.send(HeadersFrame(1, parts[0], flags=["END_STREAM", "END_HEADERS"]))
    assert attacker.client.received_heads() == [str(status)]
    assert echo.messages == []


def test_what_comes_behind_the_end_of_a_connection_is_dropped_without_another_word(attack):
    attacker = attack(Kept())
    bad = SettingsFrame(0, settings={4: 100}).serialize().replace(b"\x00\x00\x00\x64", b"\x80\x00\x00\x00")
    attacker.send(bad)
    attacker.send(attacker.head(1), bad)
    attacker.closed_with(3)
