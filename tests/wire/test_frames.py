"""What clients send, frame by frame, and what they get: the cases of the Autobahn suite, as tables.

The suite itself is run by scripts/autobahn where a Python 2.7 is installed; here each behaviour has its line, for an
asynchronous and for a synchronous echo consumer.
"""

import struct
import zlib

import pytest
from sockets import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    SocketClient,
    Socketed,
    SocketedInPool,
    close_frame,
    frame,
)

from uvicorn.wire.limits import SocketLimits

KAPPA = "κόσμε".encode()
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate"


@pytest.fixture(params=[Socketed, SocketedInPool])
def connect(request, make_site):
    """Connect a client to an echo consumer of either kind; `work` lets threads run."""

    def make(*fields, **limits):
        site = make_site(request.param(), sockets=SocketLimits(**limits))
        client = SocketClient.__new__(SocketClient)
        client.work = lambda: work(site)  # type: ignore[attr-defined]
        client.__init__(site, "/", *fields)
        client.work()  # type: ignore[attr-defined]
        client.consumer = site.service.application.only.call  # type: ignore[attr-defined]
        return client

    return make


def work(site):
    while site.pool.queue:
        site.run_job()


def exchange(client, *frames, piece=None):
    client.send(*frames, piece=piece)
    client.work()
    return [(frame.opcode, frame.payload) for frame in client.frames]


# ---- 1 and 9: messages of every size; 5: fragments ----


@pytest.mark.parametrize("size", [0, 125, 126, 127, 128, 65535, 65536, 70000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_of_any_size_comes_back(connect, opcode, size):
    payload = b"*" * size
    assert exchange(connect(), frame(opcode, payload)) == [(opcode, payload)]


@pytest.mark.parametrize("piece", [1, 2, 3, 997])
def test_a_message_may_come_in_pieces_of_any_size(connect, piece):
    payload = b"*" * 1000
    assert exchange(connect(), frame(TEXT, payload), frame(BINARY, b"\xff"), piece=piece) == [
        (TEXT, payload),
        (BINARY, b"\xff"),
    ]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("piece", [None, 1])
def test_fragments_become_one_message(connect, opcode, piece):
    frames = [
        frame(opcode, b"a", fin=False),
        frame(CONT, b"", fin=False),
        frame(CONT, b"b", fin=False),
        frame(CONT, b"c"),
    ]
    assert exchange(connect(), *frames, piece=piece) == [(opcode, b"abc")]


def test_a_ping_between_fragments_is_answered_at_once(connect):
    frames = [frame(TEXT, b"a", fin=False), frame(PING, b"?"), frame(CONT, b"b")]
    assert exchange(connect(), *frames) == [(PONG, b"?"), (TEXT, b"ab")]


# ---- 2: pings and pongs ----


@pytest.mark.parametrize("payload", [b"", b"hello", b"\x00\xff\xfe", b"\xfe" * 125])
def test_a_ping_is_answered_with_its_payload(connect, payload):
    assert exchange(connect(), frame(PING, payload)) == [(PONG, payload)]


def test_ten_pings_are_answered_in_order(connect):
    pings = [frame(PING, b"%d" % number) for number in range(10)]
    assert exchange(connect(), *pings) == [(PONG, b"%d" % number) for number in range(10)]


@pytest.mark.parametrize("payload", [b"", b"unsolicited"])
def test_a_pong_is_taken_silently(connect, payload):
    assert exchange(connect(), frame(PONG, payload), frame(PING, b"x")) == [(PONG, b"x")]


# ---- 2 to 7: mistakes of the client ----

INVALID_UTF8 = [
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    b"\xf4\x90\x80\x80", b"\xed\xa0\x80", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xfe", b"\xff", b"\x80", b"\xbf", b"\xce",
    b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xf7\xbf\xbf\xbf", b"\xed\xbf\xbf", b"\xf0\x80\x80\x80",
]  # fmt: skip

MISTAKES = [
    ("a ping of 126 bytes", [frame(PING, b"x" * 126)], 1002),
    ("a ping in fragments", [frame(PING, b"x", fin=False), frame(CONT, b"y")], 1002),
    ("a pong in fragments", [frame(PONG, b"x", fin=False)], 1002),
    ("a frame without a mask", [frame(TEXT, b"x", mask=b"")], 1002),
    *[(f"reserved bits {rsv}", [frame(TEXT, b"x", rsv=rsv)], 1002) for rsv in range(1, 8)],
    *[(f"reserved bits {rsv} in a ping", [frame(PING, b"x", rsv=rsv)], 1002) for rsv in (1, 2, 4)],
    *[(f"opcode {opcode}", [frame(opcode, b"x")], 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)],
    ("a continuation of nothing", [frame(CONT, b"x")], 1002),
    ("a continuation of nothing that goes on", [frame(CONT, b"x", fin=False)], 1002),
    ("a message inside of another", [frame(TEXT, b"x", fin=False), frame(TEXT, b"y")], 1002),
    *[(f"text {text!r}", [frame(TEXT, text)], 1007) for text in INVALID_UTF8],
    *[(f"text {text!r} in fragments", [frame(TEXT, text[:1], fin=False), frame(CONT, text[1:])], 1007)
      for text in INVALID_UTF8],
    ("a close frame of one byte", [frame(CLOSE, b"\x03")], 1002),
    ("a close frame of 126 bytes", [frame(CLOSE, struct.pack("!H", 1000) + b"x" * 124)], 1002),
    ("a close reason that is not UTF-8", [close_frame(1000, b"\xff")], 1007),
    *[(f"close code {code}", [close_frame(code)], 1002)
      for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)],
]  # fmt: skip


@pytest.mark.parametrize(("frames", "code"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES])
@pytest.mark.parametrize("piece", [None, 1])
def test_a_mistake_closes_with_its_code(connect, frames, code, piece):
    client = connect()
    exchange(client, frame(TEXT, b"before"), *frames, frame(TEXT, b"after"), piece=piece)
    assert client.close_code == code
    assert "after" not in [message.get("text") for message in client.consumer.messages]
    assert not client.is_closed  # or a client that still sends might not see the close frame
    assert client.consumer.channels == ["connect", "receive", "disconnect"]
    assert client.consumer.messages[-1]["code"] == code
    client.client.half_close()
    client.work()
    assert client.is_closed
    assert client.consumer.channels == ["connect", "receive", "disconnect"]


@pytest.mark.parametrize(
    ("frames", "code"),
    [([frame(TEXT, b"\xff")], 1007), ([frame(TEXT, b"\xff", fin=False)], 1007),
     ([frame(TEXT, b"a", fin=False), frame(CONT, b"\xff")], 1007), ([frame(BINARY, fin=False)] * 2, 1002),
     ([frame(BINARY, b"a", fin=False), frame(CONT, b"b", fin=False), frame(CONT, b"c", fin=False)], 1009)],
)  # fmt: skip
@pytest.mark.parametrize("after", [close_frame(1000), frame(PING, b"x"), frame(CONT), frame(3)])
@pytest.mark.parametrize("piece", [None, 1])
def test_the_first_mistake_decides_whatever_came_in_the_same_read(connect, frames, code, after, piece):
    client = connect(max_fragments=2)
    exchange(client, *frames, after, piece=piece)
    assert [found.opcode for found in client.frames] == [CLOSE]
    assert client.close_code == code


def test_text_that_goes_wrong_in_a_fragment_is_refused_before_the_message_ends(connect):
    client = connect()
    exchange(client, frame(TEXT, KAPPA, fin=False), frame(CONT, b"\xff", fin=False))
    assert client.close_code == 1007


@pytest.mark.parametrize("at", range(1, len(KAPPA)))
def test_a_character_may_be_cut_by_fragments(connect, at):
    frames = [frame(TEXT, KAPPA[:at], fin=False), frame(CONT, KAPPA[at:])]
    assert exchange(connect(), *frames) == [(TEXT, KAPPA)]


@pytest.mark.parametrize("text", ["\0", "\ud7ff", "\ue000", "\ufdd0", "\ufffe", "\uffff", "\U0010ffff", "\U0001fffe"])
def test_every_character_is_text(connect, text):
    assert exchange(connect(), frame(TEXT, text.encode())) == [(TEXT, text.encode())]


# ---- 7: close ----


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4999]
)
def test_a_close_frame_is_answered_with_its_code(connect, code):
    client = connect()
    exchange(client, close_frame(code, b"bye"))
    assert client.frames[-1].payload == struct.pack("!H", code) + b"bye"
    assert client.is_closed
    assert client.consumer.messages[-1]["code"] == code
    assert client.consumer.messages[-1]["reason"] == "bye"


def test_an_empty_close_frame_is_answered_with_an_empty_one(connect):
    client = connect()
    assert exchange(client, frame(CLOSE)) == [(CLOSE, b"")]
    assert client.is_closed
    assert client.consumer.messages[-1]["code"] == 1005
    assert client.consumer.messages[-1]["reason"] == ""


def test_messages_before_a_close_frame_still_arrive(connect):
    client = connect()
    client.send(frame(TEXT, b"a"), frame(TEXT, b"b"), close_frame())
    client.work()
    assert client.consumer.channels == ["connect", "receive", "receive", "disconnect"]


@pytest.mark.parametrize("after", [frame(TEXT, b"x"), frame(PING, b"x"), close_frame(), b"\xff" * 100])
def test_what_follows_a_close_frame_is_ignored(connect, after):
    client = connect()
    exchange(client, close_frame(), after)
    assert [frame.opcode for frame in client.frames] == [CLOSE]
    assert client.consumer.channels == ["connect", "disconnect"]


def test_a_close_frame_inside_of_a_message_closes_and_the_message_is_dropped(connect):
    client = connect()
    exchange(client, frame(TEXT, b"x", fin=False), close_frame())
    assert client.close_code == 1000
    assert client.consumer.channels == ["connect", "disconnect"]


def test_a_client_that_leaves_without_a_close_frame_is_1006(connect):
    client = connect()
    client.leave()
    client.work()
    assert client.consumer.messages[-1]["code"] == 1006


# ---- 12 and 13: compression ----


class Deflater:
    """The client's side of permessage-deflate."""

    def __init__(self, bits=15, takes_over=True):
        self.bits = bits
        self.takes_over = takes_over
        self.compressor = self.decompressor = None

    def frame(self, opcode, payload, **options):
        if self.compressor is None or not self.takes_over:
            self.compressor = zlib.compressobj(wbits=-self.bits)
        data = self.compressor.compress(payload) + self.compressor.flush(zlib.Z_SYNC_FLUSH)
        return frame(opcode, data[:-4], rsv=4, **options)

    def read(self, got):
        if not got.rsv:
            return got.payload
        assert got.rsv == 4
        if self.decompressor is None:
            self.decompressor = zlib.decompressobj(wbits=-15)
        return self.decompressor.decompress(got.payload + b"\0\0\xff\xff")


@pytest.mark.parametrize("size", [0, 16, 127, 128, 1000, 65536, 131072])
def test_compressed_messages_come_back(connect, size):
    client, deflater = connect(DEFLATE), Deflater()
    assert client.response.headers["sec-websocket-extensions"].startswith("permessage-deflate")
    payloads = [b"%d " % number * (size // 2 + 1) for number in range(3)]
    client.send(*[deflater.frame(TEXT, payload) for payload in payloads])
    client.work()
    assert [deflater.read(got) for got in client.frames] == payloads
    assert {got.rsv for got in client.frames} == ({4} if len(payloads[0]) >= 128 else {0})


def test_a_compressed_message_may_come_in_fragments(connect):
    client, payload = connect(DEFLATE), b"fragments " * 100
    compressor = zlib.compressobj(wbits=-15)
    data = (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
    frames = [
        frame(TEXT, data[:5], fin=False, rsv=4),
        frame(PING),
        frame(CONT, data[5:9], fin=False),
        frame(CONT, data[9:]),
    ]
    client.send(*frames)
    client.work()
    assert Deflater().read(client.frames[-1]) == payload


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        ("", ""),
        ("; client_max_window_bits", "; server_max_window_bits=12; client_max_window_bits=12"),
        ("; client_max_window_bits=9", "; client_max_window_bits=9"),
        ("; server_no_context_takeover", "; server_no_context_takeover"),
        ("; client_no_context_takeover", "; client_no_context_takeover"),
        ("; server_max_window_bits=9", "; server_max_window_bits=9"),
        ("; server_max_window_bits=10; client_max_window_bits", "; server_max_window_bits=10"),
    ],
)
def test_what_a_client_offers_is_negotiated(connect, offer, answer):
    client = connect(DEFLATE + offer.encode())
    fields = client.response.headers["sec-websocket-extensions"]
    assert fields.startswith("permessage-deflate")
    assert all(part in fields for part in answer.split("; "))
    bits = int(fields.partition("client_max_window_bits=")[2][:2].strip("; ") or 15)
    deflater = Deflater(bits, takes_over="client_no_context_takeover" not in fields)
    payloads = [b"once more " * 30, b"once more " * 31]
    client.send(*[deflater.frame(BINARY, payload) for payload in payloads])
    client.work()
    reader = Deflater()
    assert [reader.read(got) for got in client.frames] == payloads if "server_no" not in fields else True


@pytest.mark.parametrize(
    "offer", [b"x-unknown", b"permessage-deflate; unknown=1", b"permessage-deflate; server_max_window_bits=99"]
)
def test_an_extension_that_is_not_known_is_not_answered(connect, offer):
    client = connect(b"Sec-WebSocket-Extensions: " + offer)
    assert "sec-websocket-extensions" not in client.response.headers


def test_compression_can_be_turned_off(connect):
    client = connect(DEFLATE, deflate=False)
    assert "sec-websocket-extensions" not in client.response.headers
    exchange(client, Deflater().frame(TEXT, b"x" * 200))
    assert client.close_code == 1002


def test_broken_compressed_data_is_a_mistake(connect):
    client = connect(DEFLATE)
    exchange(client, frame(TEXT, b"\xff\xff\xff\xff", rsv=4))
    assert client.close_code == 1002


# ---- limits ----


@pytest.mark.parametrize(
    ("frames", "limits"),
    [
        ([frame(TEXT, b"x" * 101)], {"max_message_size": 100}),
        ([frame(TEXT, b"x" * 100, fin=False), frame(CONT, b"y")], {"max_message_size": 100}),
        ([frame(BINARY, b"", fin=False), frame(CONT, b"", fin=False), frame(CONT, b"", fin=False), frame(CONT, b"")],
         {"max_fragments": 3}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("piece", [None, 1])
def test_past_a_limit_a_socket_is_closed_with_1009(connect, frames, limits, piece):
    client = connect(**limits)
    exchange(client, *frames, frame(TEXT, b"after"), piece=piece)
    assert client.close_code == 1009
    assert client.consumer.channels == ["connect", "disconnect"]
    assert client.consumer.messages[-1]["code"] == 1009


def test_messages_at_the_limits_pass(connect):
    client = connect(max_message_size=100, max_fragments=3)
    frames = [
        frame(TEXT, b"x" * 98, fin=False),
        frame(CONT, b"y", fin=False),
        frame(CONT, b"z"),
        frame(TEXT, b"x" * 100),
    ]
    assert len(exchange(client, *frames)) == 2


@pytest.mark.parametrize("fragments", [1, 2])
def test_a_deflate_bomb_is_stopped_at_the_limit(connect, fragments):
    client = connect(DEFLATE, max_message_size=100000)
    compressor = zlib.compressobj(9, wbits=-15)
    bomb = compressor.compress(b"\0" * (1 << 26)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    half = len(bomb) // 2
    frames = (
        [frame(BINARY, bomb, rsv=4)]
        if fragments == 1
        else [frame(BINARY, bomb[:half], rsv=4, fin=False), frame(CONT, bomb[half:])]
    )
    exchange(client, *frames)
    assert client.close_code == 1009
    assert client.consumer.channels == ["connect", "disconnect"]
