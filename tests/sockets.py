"""The client's side of a WebSocket: frames as bytes, and a client on top of `clients.Site`."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from clients import read_responses

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 section 1.3
MASK = b"\x37\xfa\x21\x3d"


def frame(opcode, payload=b"", fin=True, rsv=0, mask=MASK):
    """Return one frame of a client."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    masked = 0x80 if mask else 0
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, masked | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, masked | 126, size)
    else:
        head = struct.pack("!BBQ", first, masked | 127, size)
    if not mask:
        return head + payload
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return head + mask + (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")


def close_frame(code=1000, reason=b""):
    return frame(CLOSE, struct.pack("!H", code) + reason)


@dataclass
class Frame:
    """One frame of the server."""

    opcode: int
    payload: bytes
    rsv: int = 0

    @property
    def code(self):
        """The code of a close frame."""
        return struct.unpack("!H", self.payload[:2])[0]


def read_frames(data):
    """Read all frames in these bytes, strictly; the server neither masks nor fragments."""
    data, frames = bytes(data), []
    while data:
        first, size = data[0], data[1]
        assert first & 0x80, "a fragment"
        assert not size & 0x80, "a masked frame"
        at = 2
        if size == 126:
            (size,), at = struct.unpack("!H", data[2:4]), 4
        elif size == 127:
            (size,), at = struct.unpack("!Q", data[2:10]), 10
        assert len(data) >= at + size, "half a frame"
        frames.append(Frame(first & 15, data[at : at + size], first >> 4 & 7))
        data = data[at + size :]
    return frames


def handshake(path="/chat", *fields, key=KEY, version=b"13"):
    """Return the request that asks for a socket; fields are whole lines."""
    lines = [
        b"GET %b HTTP/1.1" % path.encode(),
        b"Host: example.org",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Version: %b" % version,
        b"Sec-WebSocket-Key: %b" % key,
        *fields,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


class SocketClient:
    """One socket, seen from the client, on a site of doubles."""

    def __init__(self, site, path="/chat", *fields, client=None):
        self.client = client or site.connect()
        self.transport = self.client.transport
        self.client.send(handshake(path, *fields))

    def send(self, *frames, piece=None):
        """Send frames, in pieces of this size if one is given."""
        self.client.send(b"".join(frames), piece)

    def text(self, text):
        self.send(frame(TEXT, text.encode()))

    def leave(self):
        self.client.leave()

    @property
    def is_closed(self):
        return self.client.is_closed

    @property
    def response(self):
        """The answer to the handshake."""
        head, end, _ = bytes(self.transport.received).partition(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 101 "):
            [response] = read_responses(head + end)
            return response
        return read_responses(self.transport.received, is_closed=self.is_closed)[-1]

    @property
    def is_open(self):
        return self.transport.received.startswith(b"HTTP/1.1 101 ")

    @property
    def frames(self):
        """All frames that came."""
        assert self.is_open, bytes(self.transport.received)
        return read_frames(self.transport.received.partition(b"\r\n\r\n")[2])

    @property
    def texts(self):
        return [frame.payload.decode() for frame in self.frames if frame.opcode == TEXT]

    @property
    def close_code(self):
        """The code of the server's close frame; None if it sent none."""
        codes = [frame.code for frame in self.frames if frame.opcode == CLOSE]
        assert len(codes) < 2
        return codes[0] if codes else None


def reply_of(message):
    """Return what an echo consumer replies to a message of a socket; None for nothing."""
    if message["channel"] == "websocket.connect":
        return {"accept": True}
    if message["channel"] == "websocket.receive":
        return {"text": message["text"]} if message["text"] is not None else {"bytes": message["bytes"]}
    return None


class Socketed:
    """Remember the messages; accept, and echo. Runs on the loop."""

    def __init__(self):
        self.messages = []

    async def __call__(self, message):
        self.messages.append(message)
        reply = reply_of(message)
        if reply is not None:
            message["reply_channel"].send(reply)

    @property
    def channels(self):
        return [message["channel"].removeprefix("websocket.") for message in self.messages]


class SocketedInPool(Socketed):
    """The same in a thread of the pool."""

    def __call__(self, message):
        self.messages.append(message)
        reply = reply_of(message)
        if reply is not None:
            message["reply_channel"].send(reply)
