"""Clients of all kinds, for the soak: each is one visit. Who behaves well checks what it gets; the others only leave.

Raises, each of them: Wrong if a client that behaved well did not get what it asked for.
"""

from __future__ import annotations

import hashlib
import random
import struct
import time
from collections.abc import Callable
from typing import Final

from attacks.answers import Client, Wrong
from attacks.corpus import CORPUS

__all__ = ["KINDS"]

_PAUSE_SECONDS = 0.02
_STREAM_BYTES: Final = 1 << 20  # as in soaked.py
_HANDSHAKE: Final = (
    b"GET %b HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%b\r\n"
)
_DEFLATE: Final = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
_CORPUS_BYTES: Final = [b"".join(case.parts) for case in CORPUS]


def _request(path: bytes, body: bytes = b"", *fields: bytes) -> bytes:
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    line = (b"POST " if body else b"GET ") + path + b" HTTP/1.1\r\nHost: a\r\n"
    return line + length + b"".join(fields) + b"\r\n" + body


def _expect(content: bytes, expected: bytes) -> None:
    if content != expected:
        raise Wrong(f"{content[:60]!r} instead of {expected[:60]!r}")


def _path(chosen: random.Random, *paths: bytes) -> bytes:
    return chosen.choice(paths)


# ---- who behaves well ----


def _polite(client: Client, chosen: random.Random) -> None:
    for _ in range(chosen.randrange(1, 20)):
        path = b"%b/%d" % (_path(chosen, b"/loop", b"/pool"), chosen.randrange(1000))
        body = chosen.randbytes(chosen.randrange(1000))
        _expect(client.ask(_request(path, body)).content, path + b" " + body)


def _pipelining(client: Client, chosen: random.Random) -> None:
    paths = [b"%b/%d" % (_path(chosen, b"/loop", b"/pool"), number) for number in range(chosen.randrange(2, 60))]
    client.send(b"".join(map(_request, paths)))
    for path in paths:
        _expect(client.answer().content, path + b" ")


def _uploading(client: Client, chosen: random.Random) -> None:
    path = _path(chosen, b"/upload", b"/upload-pool", b"/upload-collected")
    body = chosen.randbytes(chosen.randrange(1, 1 << 20))
    if chosen.random() < 0.5:
        client.send(_request(path, body))
    else:
        client.send(_request(path, b"", b"Transfer-Encoding: chunked\r\n").replace(b"GET", b"POST", 1))
        at = 0
        while at < len(body):
            piece = body[at : at + chosen.randrange(1, 100_000)]
            client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            at += len(piece)
        client.send(b"0\r\n\r\n")
    _expect(client.answer().content, hashlib.sha256(body).hexdigest().encode())


def _streaming(client: Client, chosen: random.Random) -> None:
    content = client.ask(_request(_path(chosen, b"/stream", b"/stream-pool"))).content
    if len(content) != _STREAM_BYTES:
        raise Wrong(f"{len(content)} bytes of a stream")


def _half_closing(client: Client, chosen: random.Random) -> None:
    path = _path(chosen, b"/loop", b"/pool")
    client.send(_request(path))
    client.finish_sending()
    _expect(client.answer().content, path + b" ")


def _socket(client: Client, chosen: random.Random) -> None:
    client.send(_HANDSHAKE % (_path(chosen, b"/socket", b"/socket-pool"), _DEFLATE if chosen.random() < 0.5 else b""))
    head = client.head()
    if not head.startswith(b"HTTP/1.1 101 "):
        raise Wrong(f"no socket: {head[:60]!r}")
    for _ in range(chosen.randrange(1, 30)):
        message = chosen.randbytes(chosen.randrange(1, 120))  # too short for the server to compress
        client.send(_frame(0x2, message))
        _expect(_message(client), message)
    client.send(_frame(0x8, struct.pack("!H", 1000)))
    _expect(_message(client), struct.pack("!H", 1000))


# ---- who does not ----


def _slow_head(client: Client, chosen: random.Random) -> None:
    for byte in _request(b"/loop")[: chosen.randrange(1, 60)]:
        client.send(bytes([byte]))
        time.sleep(_PAUSE_SECONDS)


def _slow_body(client: Client, chosen: random.Random) -> None:
    head = _request(_path(chosen, b"/upload", b"/upload-pool", b"/loop", b"/pool"), b"x" * 1000)[:-1000]
    client.send(head)
    for _ in range(chosen.randrange(1, 50)):
        client.send(b"x" * chosen.randrange(1, 20))
        time.sleep(_PAUSE_SECONDS)


def _slow_reader(client: Client, chosen: random.Random) -> None:
    client.send(_request(_path(chosen, b"/stream", b"/stream-pool")) * chosen.randrange(1, 4))
    for _ in range(chosen.randrange(1, 20)):
        client.take(chosen.randrange(1, 20_000))
        time.sleep(_PAUSE_SECONDS)


def _resetting(client: Client, chosen: random.Random) -> None:
    path = _path(chosen, b"/loop", b"/pool", b"/wait", b"/stream", b"/stream-pool", b"/upload", b"/upload-pool")
    request = _request(path, chosen.randbytes(chosen.randrange(2) * 200_000))
    client.send(request[: chosen.randrange(1, len(request) + 1)])
    time.sleep(chosen.choice((0, 0, _PAUSE_SECONDS, 0.2)))
    client.reset()


def _leaving(client: Client, chosen: random.Random) -> None:
    client.send(_request(_path(chosen, b"/wait", b"/stream", b"/stream-pool", b"/pool")) * chosen.randrange(1, 5))


def _never_reading(client: Client, chosen: random.Random) -> None:
    client.send(_request(b"/stream") + _request(b"/loop") * 200)
    time.sleep(0.5)


def _garbage(client: Client, chosen: random.Random) -> None:
    data = bytearray(chosen.choice(_CORPUS_BYTES) if chosen.random() < 0.8 else chosen.randbytes(300))
    for _ in range(chosen.randrange(3)):
        data[chosen.randrange(len(data))] = chosen.randrange(256)
    client.send(bytes(data))
    client.everything(0.05)


def _socket_garbage(client: Client, chosen: random.Random) -> None:
    client.send(_HANDSHAKE % (_path(chosen, b"/socket", b"/socket-pool"), _DEFLATE))
    for _ in range(chosen.randrange(1, 10)):
        client.send(_frame(chosen.randrange(16), chosen.randbytes(chosen.randrange(2000)), chosen.randrange(256)))
    client.everything(0.05)


def _socket_leaving(client: Client, chosen: random.Random) -> None:
    client.send(_HANDSHAKE % (_path(chosen, b"/socket", b"/socket-pool"), b""))
    client.send(_frame(0x1, b"x") * chosen.randrange(500) + _frame(0x9, b"") * chosen.randrange(500))
    if chosen.random() < 0.5:
        client.reset()


def _idle(client: Client, chosen: random.Random) -> None:
    time.sleep(0.3)


def _frame(opcode: int, payload: bytes, first: int = 0x80) -> bytes:
    """Return a frame of a client, with a mask of zeros."""
    size = len(payload)
    length = struct.pack("!B", 0x80 | size) if size < 126 else struct.pack("!BH", 0xFE, size)
    return bytes([first & 0xF0 | opcode]) + length + bytes(4) + payload


def _message(client: Client) -> bytes:
    """Return the payload of the next frame of a server; it is short."""
    return client.take(client.take(2)[1])


KINDS: Final[dict[str, tuple[Callable[[Client, random.Random], None], bool]]] = {  # and whether it behaves well
    "keep-alive": (_polite, True),
    "pipelining": (_pipelining, True),
    "uploads": (_uploading, True),
    "streams": (_streaming, True),
    "half-closes": (_half_closing, True),
    "sockets": (_socket, True),
    "slow heads": (_slow_head, False),
    "slow bodies": (_slow_body, False),
    "slow readers": (_slow_reader, False),
    "resets": (_resetting, False),
    "leaves": (_leaving, False),
    "never reads": (_never_reading, False),
    "garbage": (_garbage, False),
    "garbage on sockets": (_socket_garbage, False),
    "leaves a socket": (_socket_leaving, False),
    "idle": (_idle, False),
}
