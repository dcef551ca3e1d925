"""What attackers send: messages on whose ends two servers have been seen to disagree.

Names of advisories are in comments. A case is sent to the server through proxies, where only one thing counts: that
nobody else's answer changes. Sent to the server alone, its kind says what must come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["CORPUS", "FREE", "MALFORMED", "SMUGGLED", "WHOLE", "Case"]

#: One whole message, which a proxy may pass on as it stands before it sends the next one on the same connection.
WHOLE: Final = "whole"
#: Nothing that follows its first error may be served.
MALFORMED: Final = "malformed"
#: Unfinished, or several messages, or right only for some readers: nothing is said of the server alone.
FREE: Final = "free"

_HOST: Final = b"Host: attacked.example\r\n"
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
_END: Final = b"0\r\n\r\n"

#: A request that is hidden in another one.
SMUGGLED: Final = b"GET /smuggled HTTP/1.1\r\n" + _HOST + b"\r\n"
_CUT = b"GET /smuggled HTTP/1.1\r\nX-Rest: "  # takes the first line of what follows for the value of a field


@dataclass(frozen=True)
class Case:
    """One thing to send.

    Attributes:
        kind: WHOLE, MALFORMED or FREE.
        parts: sent one after the other, with a moment between them.
        is_head: the answer has no body.
    """

    name: str
    kind: str
    parts: tuple[bytes, ...]
    is_head: bool = False


def _post(*fields: bytes, body: bytes = b"", line: bytes = b"POST /attack HTTP/1.1") -> bytes:
    return b"%b\r\n%b%b\r\n%b" % (line, _HOST, b"".join(fields), body)


def _get(*fields: bytes, line: bytes = b"GET /attack HTTP/1.1") -> bytes:
    return _post(*fields, line=line)


def _length(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n" % len(body)


def _chunks(body: bytes, *fields: bytes) -> bytes:
    """Return a chunked request with this body, in its framing."""
    return _post(_CHUNKED, *fields, body=body)


def _whole(name: str, *parts: bytes, is_head: bool = False) -> Case:
    return Case(name, WHOLE, parts, is_head)


def _bad(name: str, *parts: bytes) -> Case:
    return Case(name, MALFORMED, parts)


def _free(name: str, *parts: bytes) -> Case:
    return Case(name, FREE, parts)


_TWO = b"5\r\nhello\r\n" + _END
_LENGTHS = (
    # content-length beside transfer-encoding: Twisted CVE-2020-10109, Puma CVE-2020-11077, gunicorn CVE-2024-6827
    _bad("CL.TE", _post(_CHUNKED, _length(_END + SMUGGLED), body=_END + SMUGGLED)),
    _bad("TE.CL", _post(b"Content-Length: 4\r\n", _CHUNKED, body=b"5c\r\n" + SMUGGLED.ljust(92) + b"\r\n" + _END)),
    _bad("CL.TE, half a request", _post(_length(_END + _CUT), _CHUNKED, body=_END + _CUT)),
    _bad("CL.0 and chunked", _post(b"Content-Length: 0\r\n", _CHUNKED, body=_END)),
    # two lengths: Twisted CVE-2020-10108, waitress CVE-2019-16792
    _bad("two lengths that differ", _post(b"Content-Length: 0\r\n", _length(SMUGGLED), body=SMUGGLED)),
    _bad("two lengths that are the same", _post(b"Content-Length: 3\r\nContent-Length: 3\r\n", body=b"abc")),
    _bad("a list of lengths", _post(b"Content-Length: 3, 3\r\n", body=b"abc")),
    _bad("a list of lengths that differ", _post(b"Content-Length: 0, %d\r\n" % len(SMUGGLED), body=SMUGGLED)),
    # not only digits: waitress CVE-2022-24761, Twisted CVE-2022-24801, hyper CVE-2021-32715, aiohttp CVE-2023-47627
    *(
        _bad(f"length {value!r}", _post(b"Content-Length: %b\r\n" % value, body=b"abc" + SMUGGLED))
        for value in (
            b"+3",
            b"-3",
            b"0x3",
            b"3_0",
            b"3.0",
            b"3 0",
            b"\x0b3",
            b"\xb3",
            b"3;",
            b"three",
            b"'3'",
            b"3\x0c",
        )
    ),
    # an empty length: HAProxy CVE-2023-40225
    _bad("an empty length", _post(b"Content-Length:\r\n", body=SMUGGLED)),
    _bad("an empty length and another one", _post(b"Content-Length:\r\n", _length(SMUGGLED), body=SMUGGLED)),
    _bad("a length beyond 64 bits", _post(b"Content-Length: 18446744073709551617\r\n", body=b"a" + SMUGGLED)),
    _whole("a length with leading zeros", _post(b"Content-Length: 0003\r\n", body=b"abc")),
    _whole("white space after a length", _post(b"Content-Length: 3 \t\r\n", body=b"abc")),
    _whole("a GET with a body", _post(_length(SMUGGLED), body=SMUGGLED, line=b"GET /attack HTTP/1.1")),
    _free("a body that does not come", _post(b"Content-Length: 500\r\n", body=b"abc")),
    # space before the colon: llhttp CVE-2021-22959, Go CVE-2019-16276, Netty CVE-2019-16869
    _bad("a space before the colon of a length", _post(b"Content-Length : %d\r\n" % len(SMUGGLED), body=SMUGGLED)),
    _bad("a tab before the colon of a coding", _post(b"Transfer-Encoding\t: chunked\r\n", body=_END + SMUGGLED)),
    # space before the name: llhttp CVE-2024-27982
    _bad("a space before a length", _post(b" Content-Length: %d\r\n" % len(SMUGGLED), body=SMUGGLED)),
    _bad("a space before the first field", b"GET /attack HTTP/1.1\r\n Content-Length: 9\r\n" + _HOST + b"\r\n"),
    # a long name that overflows: HAProxy CVE-2021-40346
    _free("Content-Length0aaa...", _post(b"Content-Length0%b:\r\n" % (b"a" * 255), _length(SMUGGLED), body=SMUGGLED)),
    # an empty name: HAProxy CVE-2023-25725
    _bad("an empty field name", _post(b": Content-Length: 9\r\n", _length(SMUGGLED), body=SMUGGLED)),
)

_CODINGS = (
    # codings that some take for chunked and others do not: llhttp CVE-2022-32213, gunicorn CVE-2024-1135,
    # waitress CVE-2019-16786 and CVE-2019-16789, hyper CVE-2021-21299, Go CVE-2022-1705
    *(
        _bad(f"coding {value!r}", _post(b"Transfer-Encoding:%b\r\n" % value, body=_END + SMUGGLED))
        for value in (
            b" xchunked",
            b" chunkedx",
            b" chunked, identity",
            b" identity",
            b" identity, chunked",
            b" chunked, chunked",
            b" gzip, chunked",
            b" chunked;q=1",
            b" 'chunked'",
            b' "chunked"',
            b" \x0bchunked",
            b" chunked\x0b",
            b" \x00chunked",
            b" chu\xc5nked",
            b" ,chunked",
            b" chunked,",
            b"",
            b"\xa0chunked",
            b" cow\r\n chunked",
        )
    ),
    _bad("two codings, chunked first", _post(_CHUNKED, b"Transfer-Encoding: cow\r\n", body=_END + SMUGGLED)),
    _bad("two codings, chunked last", _post(b"Transfer-Encoding: cow\r\n", _CHUNKED, body=_END + SMUGGLED)),
    _bad("chunked twice", _post(_CHUNKED, _CHUNKED, body=_END + SMUGGLED)),
    _bad("chunked over HTTP/1.0", _post(_CHUNKED, body=_END + SMUGGLED, line=b"POST /attack HTTP/1.0")),
    _whole("CHUNKED", _post(b"Transfer-Encoding: CHUNKED\r\n", body=_TWO)),
    _whole("white space around chunked", _post(b"Transfer-Encoding: \t chunked  \r\n", body=_TWO)),
    _whole("a tab behind chunked", _post(b"Transfer-Encoding: chunked\t\r\n", body=_TWO)),
    # names with an underscore: WSGI servers make one of both; Puma CVE-2024-45614
    _whole("Content_Length", _post(b"Content_Length: 99\r\n", _length(b"abc"), body=b"abc")),
    _whole("Transfer_Encoding", _post(b"Transfer_Encoding: chunked\r\n", _length(b"abc"), body=b"abc")),
)

_LINES = (
    # LF alone: waitress CVE-2019-16785, llhttp CVE-2022-32214 and CVE-2022-35256, Puma CVE-2021-41136
    _bad("LF for the end of a field", b"GET /attack HTTP/1.1\r\n" + _HOST + b"X-A: a\nContent-Length: 9\r\n\r\n"),
    _bad("LF for the end of the head", b"GET /attack HTTP/1.1\r\n" + _HOST + b"\n" + SMUGGLED),
    _bad("LF for the end of the request line", b"GET /attack HTTP/1.1\n" + _HOST + b"\r\n"),
    # CR alone: llhttp CVE-2023-30589 and CVE-2025-23167
    _bad("CR for the end of a field", _post(b"X-A: a\rContent-Length: 9\r\n", _length(SMUGGLED), body=SMUGGLED)),
    _bad("CR and a letter for the end of the head", b"GET /attack HTTP/1.1\r\n" + _HOST + b"X-A: a\r\n\rX" + SMUGGLED),
    _bad("CR CR LF", _get(b"X-A: a\r\r\n")),
    _bad("NUL in a value", _get(b"X-A: a\x00b\r\n")),
    # obs-fold: llhttp CVE-2022-32215
    _bad("a folded field", _get(b"X-A: a\r\n b\r\n")),
    _bad("a folded coding", _post(b"Transfer-Encoding:\r\n chunked\r\n", body=_END + SMUGGLED)),
    _bad("a folded length", _post(b"Content-Length: 3\r\n 4\r\n", body=b"abc" + SMUGGLED)),
    _bad("a field without a colon", _get(b"X-A\r\n")),
    _bad("a space in a name", _get(b"X A: a\r\n")),
    _bad("a name in brackets", _get(b"[X]: a\r\n")),
    _bad("two hosts", _get(b"Host: other.example\r\n")),
    _bad("no host", b"GET /attack HTTP/1.1\r\n\r\n"),
    _bad("a host with a user", b"GET /attack HTTP/1.1\r\nHost: a@b\r\n\r\n"),
    _whole("empty lines before the request", b"\r\n\r\n" + _get()),
    _whole("underscores in names", _get(b"X_A: a\r\nX-A: b\r\n")),
    _whole("white space after a value", _get(b"X-A: a \t \r\n")),
    _bad("a large field", _get(b"X-A: %b\r\n" % (b"a" * 20000))),
    _bad("too many fields", _get(b"X-A: a\r\n" * 150)),
    _bad("two spaces in the request line", _get(line=b"GET  /attack HTTP/1.1")),
    _bad("a tab in the request line", _get(line=b"GET\t/attack HTTP/1.1")),
    _bad("a space after the version", _get(line=b"GET /attack HTTP/1.1 ")),
    _bad("version 1.10", _get(line=b"GET /attack HTTP/1.10")),
    _bad("version 0.9", b"GET /attack\r\n" + SMUGGLED),
    _bad("version 2.0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED),
    _bad("an unknown method", _get(line=b"ATTACK /attack HTTP/1.1")),
    _bad("a method in lower case", _get(line=b"get /attack HTTP/1.1")),
    _bad("CONNECT", b"CONNECT attacked.example:80 HTTP/1.1\r\n" + _HOST + b"\r\n" + SMUGGLED),
)

_CHUNK_SIZES = (
    # what is no chunk size: waitress CVE-2022-24761, Falcon CVE-2023-38697, Twisted CVE-2022-24801
    *(
        _bad(f"chunk size {value!r}", _chunks(value + b"\r\nabc\r\n" + _END + SMUGGLED))
        for value in (b"+3", b"-3", b"0x3", b"3_", b"", b" 3", b"g", b"3 3", b"3\t3", b"\x0b3", b"3\x00")
    ),
    # a size that overflows: hyper CVE-2021-32714
    _bad("a chunk size of 2 to the 64 and 3", _chunks(b"10000000000000003\r\nabc\r\n" + _END + SMUGGLED)),
    _free("a chunk of 8 EiB", _chunks(b"7fffffffffffffff\r\nabc\r\n" + SMUGGLED)),
    # the CRLF behind a chunk is not looked at: h11 CVE-2025-43859
    _bad("other bytes behind a chunk", _chunks(b"3\r\nabcXX" + _END + SMUGGLED)),
    _bad("LF behind a chunk size", _chunks(b"3\nabc\r\n" + _END + SMUGGLED)),  # Go CVE-2025-22871
    _bad("LF behind a chunk", _chunks(b"3\r\nabc\n" + _END + SMUGGLED)),
    _bad("CR behind a chunk size", _chunks(b"3\rabc\r\n" + _END + SMUGGLED)),
    _bad("LF behind the last chunk", _chunks(b"0\n\n" + SMUGGLED)),
    _bad("more than the chunk's size", _chunks(b"3\r\nabcdef\r\n" + _END + SMUGGLED)),
    # chunk extensions: llhttp CVE-2021-22960, aiohttp CVE-2024-52304, Netty CVE-2025-58056, Kestrel CVE-2025-55315
    _whole("a chunk extension", _chunks(b"3;a=b\r\nabc\r\n" + _END)),
    _whole("a quoted chunk extension", _chunks(b'3;a="b;c"\r\nabc\r\n' + _END)),
    _whole("white space in a chunk extension", _chunks(b"3 ; a = b\r\nabc\r\n" + _END)),
    _whole("an extension of the last chunk", _chunks(b"3\r\nabc\r\n0;a=b\r\n\r\n")),
    _bad("LF in a chunk extension", _chunks(b"3;a\nabc\r\n" + _END + SMUGGLED)),
    _bad("CR in a chunk extension", _chunks(b"3;a\rb\r\nabc\r\n" + _END + SMUGGLED)),
    _bad("CR in a quoted chunk extension", _chunks(b'3;a="\rb"\r\nabc\r\n' + _END + SMUGGLED)),
    _bad("a chunk extension of 40 KiB", _chunks(b"3;%b\r\nabc\r\n" % (b"a" * 40000) + _END)),  # Node CVE-2024-22019
    _free("a chunk in pieces", _chunks(b""), b"3", b"\r", b"\nab", b"c\r", b"\n0\r\n", b"\r", b"\n"),
    _free("a chunked body without an end", _chunks(b"3\r\nabc\r\n")),
    _whole("chunks of one byte", _chunks(b"1\r\na\r\n" * 200 + _END)),
    _whole("a large chunked body", _chunks(b"10000\r\n%b\r\n" % (b"a" * 65536) * 4 + _END)),
)

_TRAILERS = (
    # trailers that are taken for fields: Puma CVE-2023-40175, aiohttp CVE-2025-53643
    _whole("Connection: close in a trailer", _chunks(b"3\r\nabc\r\n0\r\nConnection: close\r\n\r\n")),
    _whole("a length in a trailer", _chunks(b"3\r\nabc\r\n0\r\nContent-Length: 99\r\n\r\n")),
    _whole("a coding in a trailer", _chunks(b"3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n")),
    _whole("Upgrade in a trailer", _chunks(b"0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")),
    _whole("Proxy-Connection in a trailer", _chunks(b"0\r\nProxy-Connection: close\r\n\r\n")),
    _whole("Host in a trailer", _chunks(b"0\r\nHost: other.example\r\n\r\n")),
    _whole("Expect in a trailer", _chunks(b"0\r\nExpect: 100-continue\r\n\r\n")),
    _bad("a folded trailer", _chunks(b"0\r\nX-A: a\r\n b\r\n\r\n" + SMUGGLED)),
    _bad("LF behind a trailer", _chunks(b"0\r\nX-A: a\n\r\n" + SMUGGLED)),
    _bad("a request line for a trailer", _chunks(b"0\r\nGET /smuggled HTTP/1.1\r\n" + _HOST + b"\r\n")),
)

_KEEPING = (
    _whole("Proxy-Connection: close", _get(b"Proxy-Connection: close\r\n")),
    _whole("Proxy-Connection: close, with a body", _post(b"Proxy-Connection: close\r\n", _length(b"abc"), body=b"abc")),
    _whole("Proxy-Connection: keep-alive", _get(b"Proxy-Connection: keep-alive\r\n")),
    _whole("Connection: close", _get(b"Connection: close\r\n")),
    _whole("Connection: close, keep-alive", _get(b"Connection: close, keep-alive\r\n")),
    _whole("Connection: keep-alive, then close", _get(b"Connection: keep-alive\r\nConnection: close\r\n")),
    _whole("Connection: Content-Length", _post(b"Connection: Content-Length\r\n", _length(b"abc"), body=b"abc")),
    _whole("Connection: x-passed", _get(b"Connection: X-Passed, X-Who\r\n")),
    _whole("Connection with odd commas", _get(b"Connection: ,, ,keep-alive,,\r\n")),
    _whole("Keep-Alive: timeout=0", _get(b"Keep-Alive: timeout=0, max=0\r\n")),
    _whole("HTTP/1.0", _get(line=b"GET /attack HTTP/1.0")),
    _whole("HTTP/1.0, keep-alive", _get(b"Connection: keep-alive\r\n", line=b"GET /attack HTTP/1.0")),
    _whole("HTTP/1.0 with Proxy-Connection", _get(b"Proxy-Connection: keep-alive\r\n", line=b"GET /attack HTTP/1.0")),
    _free("pipelined", _get() + SMUGGLED),
    _free("pipelined behind a body", _post(_length(b"abc"), body=b"abc" + SMUGGLED)),
    _free("pipelined behind Connection: close", _get(b"Connection: close\r\n") + SMUGGLED),
    _free("pipelined behind Proxy-Connection: close", _get(b"Proxy-Connection: close\r\n") + SMUGGLED),
    _free("pipelined, the second one malformed", _get() + b"GET /smuggled HTTP/1.1\r\nHost : a\r\n\r\n"),
    # requests behind one that was refused: waitress CVE-2024-49768; order of answers: Twisted CVE-2024-41671
    _free("pipelined behind a large head", _get(b"X-A: %b\r\n" % (b"a" * 20000)) + SMUGGLED),
    _free("twenty pipelined", _get(line=b"GET /pool HTTP/1.1") + _get() * 19),
    _free("half a request behind a whole one", _get() + _CUT),
    _free("a client that leaves at once", _get(line=b"GET /pool HTTP/1.1")),
)

_UPGRADES = (
    _whole("Upgrade: h2c", _get(b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nConnection: Upgrade\r\n")),
    _whole("Upgrade: h2c with a body", _post(b"Upgrade: h2c\r\nConnection: Upgrade\r\n", _length(b"abc"), body=b"abc")),
    _whole("Upgrade: h2c, chunked", _chunks(_TWO, b"Upgrade: h2c\r\nConnection: Upgrade\r\n")),
    _whole("Upgrade without Connection", _get(b"Upgrade: websocket\r\n")),
    _whole("Upgrade: websocket with a body", _post(
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", _length(SMUGGLED), body=SMUGGLED)),
    # a handshake that fails, after which the proxy thinks that it tunnels
    _free("a handshake of another version", _get(
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 777\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n") + SMUGGLED),
    _free("a handshake that nobody takes", _get(
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n") + SMUGGLED),
    _free("Upgrade: TLS/1.0", _get(b"Upgrade: TLS/1.0\r\nConnection: Upgrade\r\n") + SMUGGLED),
)  # fmt: skip

_EXPECTED = (
    _whole("Expect: 100-continue", _post(b"Expect: 100-continue\r\n", _length(b"abc"), body=b"abc")),
    _whole("Expect: 100-continue, chunked", _chunks(_TWO, b"Expect: 100-continue\r\n")),
    _whole("Expect without a body", _get(b"Expect: 100-continue\r\n")),
    _free("Expect, and a body that does not come", _post(b"Expect: 100-continue\r\n", _length(SMUGGLED))),
    _free("Expect, and another request for a body", _post(b"Expect: 100-continue\r\n", _length(SMUGGLED)), SMUGGLED),
    _bad("Expect: something else", _post(b"Expect: 200-ok\r\n", _length(SMUGGLED), body=SMUGGLED)),
    _bad("Expect: y 100-continue", _post(b"Expect: y 100-continue\r\n", _length(SMUGGLED), body=SMUGGLED)),
    _whole("Expect: 100-Continue", _post(b"Expect: 100-Continue \r\n", _length(b"abc"), body=b"abc")),
)

_TARGETS = (
    _whole("absolute-form", _get(line=b"GET http://attacked.example/attack HTTP/1.1")),
    _whole("absolute-form with another host", _get(line=b"GET http://other.example/attack HTTP/1.1")),
    _bad("absolute-form with a user", _get(line=b"GET http://user@attacked.example/attack HTTP/1.1")),
    _bad("absolute-form with two @", _get(line=b"GET http://a@b@attacked.example/attack HTTP/1.1")),
    _bad("absolute-form without a host", _get(line=b"GET http:///attack HTTP/1.1")),
    _bad("absolute-form with a port only", _get(line=b"GET http://:80/attack HTTP/1.1")),
    # a fragment, with which rules for paths were passed by: HAProxy CVE-2023-45539
    _bad("# in a target", _get(line=b"GET /attack#/smuggled HTTP/1.1")),
    _bad("# in a query", _get(line=b"GET /attack?a#b HTTP/1.1")),
    _bad("# in absolute-form", _get(line=b"GET http://attacked.example/attack#b HTTP/1.1")),
    _whole("an encoded line end in a target", _get(line=b"GET /attack%0d%0aX-A:%20a HTTP/1.1")),
    _bad("a target without a slash", _get(line=b"GET attack HTTP/1.1")),
    _bad("a space in a target", _get(line=b"GET /attack /smuggled HTTP/1.1")),
    _bad("a control character in a target", _get(line=b"GET /attack\x01 HTTP/1.1")),
    _whole("two slashes", _get(line=b"GET //attack HTTP/1.1")),
    _whole("OPTIONS *", _get(line=b"OPTIONS * HTTP/1.1")),
    _bad("a long target", _get(line=b"GET /%b HTTP/1.1" % (b"a" * 20000))),
    _whole("HEAD", _get(line=b"HEAD /attack HTTP/1.1"), is_head=True),
    _whole("HEAD with a body", _post(_length(b"abc"), body=b"abc", line=b"HEAD /attack HTTP/1.1"), is_head=True),
    # what frameworks and proxies make of fields: response splitting, gunicorn CVE-2018-1000164
    _whole("PROXY behind a request", _get(b"X-A: PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\n")),
    _bad("a PROXY header that nobody asked for", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 1\r\n" + SMUGGLED),
)

CORPUS: Final = (
    *_LENGTHS, *_CODINGS, *_LINES, *_CHUNK_SIZES, *_TRAILERS, *_KEEPING, *_UPGRADES, *_EXPECTED, *_TARGETS,
)  # fmt: skip
