"""Random frames of a client, right and wrong, in any slicing: what we make of them, beside the verdict of the library.

The verdict is that of `websockets` alone, which is given one byte after the other, and of the few rules that it leaves
to who uses it: fragments become messages, their number has a limit, text is UTF-8, and a close frame may come in the
middle of a message. Ours is that of the whole connection: cutter, budget, codec, calls. Compared are the messages, the
pongs, the close frame with its code, and the code that `websocket.disconnect` tells.

`FRAMES=100000 pytest -s tests/connections/test_socket_fuzz.py`, or `scripts/fuzz-frames`, runs longer; the number is
that of random sequences.
"""

import codecs
import os
import struct
import zlib
from collections import Counter
from itertools import cycle

from clients import Site
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sockets import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    SocketClient,
    Socketed,
    close_frame,
    frame,
    handshake,
)
from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from uvicorn.wire.limits import SocketLimits

EXAMPLES = int(os.environ.get("FRAMES", "150"))
LIMITS = SocketLimits(max_message_size=300, max_fragments=4)
OFFER = b"Sec-WebSocket-Extensions: permessage-deflate"
TOTALS = Counter()

# ---- what a client sends ----

TEXTS = st.one_of(
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace")),
    st.sampled_from(["κόσμε".encode()[:n] for n in range(1, 11)]),  # cut in the middle of a character, too
    st.sampled_from([b"\xbf", b"\xce", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", "é".encode()[1:]]),
)
PAYLOADS = st.one_of(
    TEXTS, st.binary(max_size=20), st.sampled_from([b"", b"x" * 125, b"x" * 126, b"x" * 299, b"x" * 300, b"x" * 301])
)
CODES = st.sampled_from([0, 999, 1000, 1001, 1004, 1005, 1006, 1007, 1011, 1015, 2999, 3000, 4999, 5000])
CLOSINGS = st.one_of(
    st.just(b""),
    st.binary(max_size=4),
    st.builds(lambda code, reason: struct.pack("!H", code) + reason, CODES, TEXTS),
)


def _deflated(payload):
    compressor = zlib.compressobj(wbits=-12)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


WHOLE = st.builds(frame, st.sampled_from([TEXT, BINARY]), PAYLOADS)
MESSAGES = st.one_of(
    WHOLE,
    WHOLE,
    st.builds(  # in fragments, with something between them
        lambda opcode, parts, between: b"".join(
            frame(opcode if not number else CONT, part, fin=number == len(parts) - 1) + between * (number == 0)
            for number, part in enumerate(parts)
        ),
        st.sampled_from([TEXT, BINARY]),
        st.lists(PAYLOADS, min_size=1, max_size=5),
        st.sampled_from([b"", b"", frame(PING, b"between"), frame(PONG), close_frame(1000), frame(CLOSE)]),
    ),
    st.builds(frame, st.sampled_from([TEXT, BINARY]), PAYLOADS.map(_deflated), rsv=st.just(4)),
    st.builds(frame, st.sampled_from([PING, PING, PONG]), PAYLOADS),
)
MISTAKES = st.one_of(
    st.builds(  # any frame at all
        frame,
        st.integers(0, 15),
        PAYLOADS,
        fin=st.booleans(),
        rsv=st.sampled_from([0, 0, 4, 1, 7]),
        mask=st.sampled_from([b"\x37\xfa\x21\x3d", b"\0\0\0\0", b""]),
    ),
    st.builds(frame, st.just(CONT), PAYLOADS, fin=st.booleans()),
    st.builds(lambda data, most: data[:most], WHOLE, st.integers(0, 8)),  # a piece of one
    st.builds(struct.pack, st.just("!BBQ"), st.integers(0, 255), st.just(0xFF), st.integers(0, 2**64 - 1)),
    st.binary(max_size=12),
)
CLOSES = st.one_of(
    st.builds(frame, st.just(CLOSE), CLOSINGS),
    st.sampled_from([frame(CLOSE), close_frame(1000), close_frame(4999, b"x")]),
)
SENT = st.tuples(
    st.lists(MESSAGES, max_size=6),
    st.lists(st.one_of(MISTAKES, CLOSES, MESSAGES), max_size=2),
    st.lists(MESSAGES, max_size=2),
).map(lambda parts: b"".join(part for some in parts for part in some))
PIECES = st.one_of(
    st.just([10**6]),
    st.just([1]),
    st.lists(st.integers(1, 12), min_size=1, max_size=5),
    st.lists(st.integers(1, 400), min_size=1, max_size=5),
)

# ---- the verdict ----


class Verdict:
    """What a server does that takes one byte after the other.

    Attributes:
        close: the payload of its close frame, its code alone if it is about a mistake; None if it sends none.
    """

    def __init__(self, data, is_deflated):
        self.messages, self.pongs, self.close = [], [], None
        self._parts = None
        self._protocol = ServerProtocol(state=State.OPEN, max_size=LIMITS.max_message_size)
        if is_deflated:
            self._protocol.extensions = _negotiated()
        for number in range(len(data)):
            self._take(data[number : number + 1])
            if self.close is not None:
                return

    def _take(self, byte):
        protocol = self._protocol
        protocol.receive_data(byte)
        is_mistaken = protocol.parser_exc is not None
        for found in protocol.events_received():
            if found.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                code = self._data(found)
                if code:
                    self.close = struct.pack("!H", code)
                    return
            elif found.opcode is Opcode.PING:
                self.pongs.append(bytes(found.data))
            elif found.opcode is Opcode.CLOSE:
                self.close = bytes(found.data)
        if is_mistaken:
            close = protocol.close_rcvd  # it is there if only its place was wrong, which is allowed
            if close is not None and "incomplete fragmented message" in str(protocol.parser_exc):
                self.close = close.serialize() if close.code != 1005 else b""
            else:
                self.close = struct.pack("!H", protocol.close_sent.code)

    def _data(self, found):
        """Add a frame to its message; return the code of a mistake, or 0."""
        if self._parts is None and found.fin and found.opcode is not Opcode.CONT:
            return self._message(found.opcode is Opcode.TEXT, [bytes(found.data)])
        if self._parts is None:
            self._is_text, self._parts = found.opcode is Opcode.TEXT, []
        self._parts.append(bytes(found.data))
        if len(self._parts) > LIMITS.max_fragments:
            return 1009
        if found.fin:
            parts, self._parts = self._parts, None
            return self._message(self._is_text, parts)
        return self._is_text and self._check(self._parts, False)

    def _message(self, is_text, parts):
        code = is_text and self._check(parts, True)
        if not code:
            self.messages.append(b"".join(parts).decode() if is_text else b"".join(parts))
        return code

    def _check(self, parts, is_final):
        try:
            codecs.getincrementaldecoder("utf-8")().decode(b"".join(parts), is_final)
        except UnicodeDecodeError:
            return 1007
        return 0


def _negotiated():
    lines = handshake("/", OFFER).decode().split("\r\n")[1:-2]
    protocol = ServerProtocol(extensions=[ServerPerMessageDeflateFactory(12, 12)])
    protocol.accept(Request("/", Headers(line.split(": ", 1) for line in lines)))
    return protocol.extensions


# ---- ours ----


class Recorder(Socketed):
    """Accept, and reply to nothing."""

    async def __call__(self, message):
        self.messages.append(message)
        if message["channel"] == "websocket.connect":
            message["reply_channel"].send({"accept": True})

    @property
    def received(self):
        """The messages of the client, and then the code of the end."""
        found = [
            message["bytes"] if message["text"] is None else message["text"]
            for message in self.messages[1:]
            if message["channel"] == "websocket.receive"
        ]
        return found, [message["code"] for message in self.messages if message["channel"] == "websocket.disconnect"]


def _sliced(data, pieces):
    sizes = cycle(pieces)
    while data:
        size = next(sizes)
        yield data[:size]
        data = data[size:]


@settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(data=SENT, pieces=PIECES, is_deflated=st.booleans())
def test_any_frames_in_any_slicing_are_taken_as_the_library_takes_them(data, pieces, is_deflated):
    verdict = Verdict(data, is_deflated)
    consumer = Recorder()
    site = Site(consumer, sockets=LIMITS)
    try:
        client = SocketClient(site, "/", *([OFFER] if is_deflated else []))
        for piece in _sliced(data, pieces):
            client.send(piece)
        frames = client.frames
        pongs = [found.payload for found in frames if found.opcode == PONG]
        closes = [found.payload for found in frames if found.opcode == CLOSE]
        messages, codes = consumer.received

        assert messages == verdict.messages
        assert pongs == verdict.pongs
        assert len(frames) == len(pongs) + len(closes)
        if verdict.close is None:
            assert (closes, codes) == ([], [])
        else:
            assert frames[-1].opcode == CLOSE
            assert closes[0][: max(len(verdict.close), 2)] == verdict.close
            assert codes == [struct.unpack("!H", verdict.close[:2])[0] if verdict.close else 1005]
        TOTALS.update(
            sequences=1,
            bytes=len(data),
            messages=len(messages),
            pongs=len(pongs),
            **{f"closed {codes[0]}" if codes else "open": 1},
        )
    finally:
        site.end()


def test_the_sequences_had_all_ends():
    """What the test above saw, for the log; it says nothing if all ended in one way."""
    print(dict(sorted(TOTALS.items())))
    assert not TOTALS or (TOTALS["open"] and TOTALS["messages"] and TOTALS["closed 1002"])
