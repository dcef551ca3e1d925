"""What costs a server most for what it costs a client: for each kind of input, an endless stream of it.

`KINDS[name](size)` returns about so many bytes; PIECES are how they come. The bench feeds one connection under LIMITS.
"""

from __future__ import annotations

import struct

LIMITS = {"request_line": 4094, "request_fields": 100, "request_field_size": 8190, "body_buffer": 1 << 24}
UNLIMITED = {"request_line": 0, "request_field_size": 0, "request_fields": 32768, "body_buffer": 1 << 24}
PIECES = (6, 65536)

_HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"
_CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
_V2 = b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", 0x20, 0, 4096) + bytes(4096)


def _repeated(unit, before=b""):
    return lambda size: before + unit * (max(size - len(before), 0) // len(unit))


KINDS = {
    "small requests": _repeated(_HEAD + b"\r\n"),
    "small requests behind empty lines": _repeated(b"\r\n\r\n" + _HEAD + b"\r\n"),
    "requests of 100 fields": _repeated(_HEAD + b"A: b\r\n" * 99 + b"\r\n"),
    "requests with a long field": _repeated(_HEAD + b"A: " + b"b" * 8000 + b"\r\n\r\n"),
    "requests with white space behind values": _repeated(_HEAD + (b"A: " + b" \t" * 40 + b"b \r\n") * 60 + b"\r\n"),
    "requests with tabs behind a coding": _repeated(_CHUNKED[:-4] + b"\t" * 4000 + b"\r\n\r\n0\r\n\r\n"),
    "requests with percent signs": _repeated(b"GET /" + b"%41" * 1300 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "requests with many options": _repeated(_HEAD + b"Connection: " + b"a," * 4000 + b"\r\n\r\n"),
    "requests with underscores": _repeated(_HEAD + b"a_b: c\r\n" * 99 + b"\r\n"),
    "empty lines": _repeated(b"\r\n"),
    "a head of small fields": _repeated(b"A: b\r\n", _HEAD),
    "a head of one field": _repeated(b"b", _HEAD + b"A: "),
    "a request line": _repeated(b"b", b"GET /"),
    "chunks of a byte": _repeated(b"1\r\nx\r\n", _CHUNKED),
    "chunks of 100 bytes": _repeated(b"64\r\n" + b"x" * 100 + b"\r\n", _CHUNKED),
    "chunks with free extensions": _repeated(b"1;a=b;c=d\r\nx\r\n", _CHUNKED),
    "a chunk of the greatest extension": _repeated(b'a="\\a', _CHUNKED + b"1;"),
    "a trailer of small fields": _repeated(b"A: b\r\n", _CHUNKED + b"0\r\n"),
    "bodies of chunks with trailers": _repeated(_CHUNKED + b"1\r\nx\r\n0\r\n" + b"A: b\r\n" * 100 + b"\r\n"),
    "zeros before a chunk size": _repeated(b"0", _CHUNKED),
    "bodies of a byte": _repeated(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"),
}
PROXY_KINDS = {
    "a PROXY header, version 1": lambda size: b"PROXY UNKNOWN " + b"a" * 91 + b"\r\n",
    "a PROXY header, version 2": lambda size: _V2,
}
#: Fed with UNLIMITED: where the limits of single lines are off.
UNLIMITED_KINDS = ("a head of small fields", "a head of one field", "a request line")
