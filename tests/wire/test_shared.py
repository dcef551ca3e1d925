"""One message for many sockets: which replies are shared, and that each codec gives the frame that is right for it."""

from __future__ import annotations

import random
import zlib

import pytest
from websockets.frames import Opcode

from uvicorn.wire.deflate import SMALLEST_DEFLATED
from uvicorn.wire.frames import SocketCodec
from uvicorn.wire.limits import SocketLimits
from uvicorn.wire.opening import open_codec
from uvicorn.wire.shared import share
from uvicorn.wire.socket_reply import BINARY, TEXT

DEFLATE = [b"sec-websocket-extensions", b"permessage-deflate"]


def codec(*fields):
    """Return the codec of a socket that was accepted."""
    opened = open_codec(
        [
            [b"upgrade", b"websocket"],
            [b"connection", b"upgrade"],
            [b"sec-websocket-key", b"AAAAAAAAAAAAAAAAAAAAAA=="],
            [b"sec-websocket-version", b"13"],
            *fields,
        ],
        SocketLimits(),
    )
    assert isinstance(opened, SocketCodec)
    return opened


@pytest.mark.parametrize(
    ("content", "opcode", "data"),
    [
        ({"text": "é"}, TEXT, "é".encode()),
        ({"text": ""}, TEXT, b""),
        ({"bytes": b"ab"}, BINARY, b"ab"),
        ({"bytes": b""}, BINARY, b""),
    ],
)
def test_one_text_or_bytes_alone_is_shared(content, opcode, data):
    shared = share(content)
    assert shared is not None
    assert (shared.content, shared.opcode, shared.data, shared.frame) == (content, opcode, data, None)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"text": "a", "close": True},
        {"text": "a", "bytes": b"a"},
        {"close": True},
        {"text": b"a"},
        {"text": None},
        {"text": "\ud800"},
        {"bytes": "a"},
        {"bytes": bytearray(b"a")},
    ],
)
def test_all_else_is_looked_at_by_each_socket(content):
    assert share(content) is None


@pytest.mark.parametrize("size", [0, 1, 125, 126, 1000, 65_535, 65_536])
@pytest.mark.parametrize("kind", ["text", "bytes"])
def test_all_sockets_get_one_frame_and_it_is_that_of_the_message(kind, size):
    shared = share({kind: "x" * size if kind == "text" else b"x" * size})
    assert shared is not None
    first, second = codec(), codec()
    frame = first.shared(shared)
    assert second.shared(shared) is frame
    assert frame == codec().message(shared.opcode, shared.data)


def test_who_compresses_gets_one_compressed_frame_and_others_are_not_compressed():
    shared = share({"text": "x" * 1000})
    assert shared is not None
    compressed, plain = codec(DEFLATE).shared(shared), codec().shared(shared)
    assert compressed[0] == 0xC0 | Opcode.TEXT
    assert len(compressed) < 100
    assert plain[0] == 0x80 | Opcode.TEXT
    assert plain.endswith(b"x" * 1000)
    assert codec(DEFLATE).shared(shared) is compressed
    small = codec([DEFLATE[0], b"permessage-deflate; server_max_window_bits=9"]).shared(shared)
    assert (small[0], small is compressed) == (compressed[0], False)  # another window, another frame


def test_what_does_not_become_smaller_is_not_compressed():
    shared = share({"bytes": random.Random(1).randbytes(1000)})
    assert shared is not None
    assert codec(DEFLATE).shared(shared) is codec().shared(shared)


class Client:
    """What a client makes of compressed frames: it has one window for all that it gets."""

    def __init__(self, bits, takes_over=True):
        self._takes_over = takes_over
        self._bits = bits
        self._window = zlib.decompressobj(wbits=-bits)

    def read(self, frame):
        size, at = frame[1], 2
        if size == 126:
            size, at = int.from_bytes(frame[2:4], "big"), 4
        assert len(frame) == at + size
        if not frame[0] & 0x40:
            return frame[at:]
        if not self._takes_over:
            self._window = zlib.decompressobj(wbits=-self._bits)
        return self._window.decompress(frame[at:] + b"\0\0\xff\xff")


@pytest.mark.parametrize(
    ("offer", "bits", "takes_over"),
    [
        (b"", 12, True),
        (b"; server_max_window_bits=9", 9, True),
        (b"; server_max_window_bits=15; client_max_window_bits", 12, True),
        (b"; server_no_context_takeover", 12, False),
    ],
)
def test_messages_of_its_own_and_shared_ones_come_as_they_were_in_whatever_order(offer, bits, takes_over):
    chance = random.Random(7)
    words = [chance.randbytes(40) for _ in range(12)]
    server, client = codec([DEFLATE[0], b"permessage-deflate" + offer]), Client(bits, takes_over)
    compressed = {True: 0, False: 0}
    for _ in range(300):
        data = b"".join(chance.choices(words, k=chance.randint(1, 60)))
        is_shared = chance.random() < 0.5
        if is_shared:
            shared = share({"bytes": data})
            assert shared is not None
            frame = server.shared(shared)
        else:
            frame = server.message(BINARY, data)
        assert client.read(frame) == data
        compressed[is_shared] += frame[0] >> 6 & 1
    assert min(compressed.values()) > 50


def test_a_socket_that_gets_shared_messages_only_has_no_compressor():
    server = codec(DEFLATE)
    shared = share({"text": "x" * 1000})
    assert shared is not None
    server.shared(shared)
    assert server._protocol.extensions[0]._deflate is None


def test_what_is_too_short_to_be_compressed_is_shared_with_who_compresses():
    shared = share({"bytes": b"x" * (SMALLEST_DEFLATED - 1)})
    assert shared is not None
    assert codec(DEFLATE).shared(shared) is codec().shared(shared)
