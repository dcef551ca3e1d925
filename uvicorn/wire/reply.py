"""The header fields of a reply, checked and encoded, and what a checked reply is. Sans-IO.

A mistake raises on the consumer's own line, before anything is written. What is made here is all that the encoder
needs: nobody looks at the consumer's header list again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from uvicorn.errors import ReplyError, ReplyTypeError

__all__ = ["BODILESS", "NO_FIELDS", "Fields", "Reply", "encode_fields", "shown"]

BODILESS: Final = frozenset({204, 304})  # RFC 9110 sections 15.3.5 and 15.4.5

_TOKEN: Final = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # RFC 9110, 5.6.2

# Numbers, since `in` takes a byte for bytes in a twentieth of the time that it takes b"\n" (uncompiled).
_CR: Final = 13
_LF: Final = 10
_NUL: Final = 0

# What a header field is to the server. Those from `_CONNECTION` on it sets alone.
_UNKNOWN: Final = -1
_PLAIN: Final = 0
_LENGTH: Final = 1
_DATE: Final = 2
_SERVER: Final = 3
_CONNECTION: Final = 4
_CODING: Final = 5
_KEEP_ALIVE: Final = 6
_SPECIAL: Final = {
    b"content-length": _LENGTH,
    b"date": _DATE,
    b"server": _SERVER,
    b"connection": _CONNECTION,
    b"transfer-encoding": _CODING,
    b"keep-alive": _KEEP_ALIVE,
}
# The names that most replies have, as most write them: known to be tokens. Any other name is looked through, which
# takes a fifth of a microsecond (uncompiled; a tenth compiled). Nothing is added to them later.
_USUAL: Final = (
    b"accept-ranges access-control-allow-credentials access-control-allow-headers access-control-allow-methods "
    b"access-control-allow-origin access-control-expose-headers access-control-max-age age allow alt-svc cache-control "
    b"content-disposition content-encoding content-language content-location content-range content-security-policy "
    b"content-type cross-origin-opener-policy cross-origin-resource-policy etag expires last-modified link location "
    b"permissions-policy pragma referrer-policy retry-after server-timing set-cookie strict-transport-security trailer "
    b"vary www-authenticate x-content-type-options x-frame-options x-process-time x-request-id x-xss-protection"
)
_ROLES: Final = {
    **{spelled: _PLAIN for name in _USUAL.split() for spelled in (name, name.title())},
    b"ETag": _PLAIN,
    b"WWW-Authenticate": _PLAIN,
    b"X-Request-ID": _PLAIN,
    b"X-XSS-Protection": _PLAIN,
    **{spelled: role for name, role in _SPECIAL.items() for spelled in (name, name.title())},
}


class Fields:
    """The header fields of one reply, checked and encoded. Not to be changed.

    Attributes:
        block: the lines as they go on the wire, each with its CRLF.
        content_length: what the consumer promised, in bytes, or None.
        closes: the consumer asked for `connection: close`.
        has_date, has_server: the consumer sent its own.
        is_slow: the consumer has declared that it sends slowly, or to slow clients.
        trailers: lines that follow the content, with the reply that ends it.
        file: what is sent instead of content: a part of a file (`bridge/files.py`), or None.
        is_plain: none of the above.
        parts: what `block` was joined from, four for each line: name, b": ", value, CRLF; None if that is not known.
    """

    __slots__ = (
        "block", "closes", "content_length", "file", "has_date", "has_server", "is_plain", "is_slow", "parts",
        "trailers",
    )  # fmt: skip

    def __init__(
        self,
        block: bytes,
        content_length: int | None = None,
        closes: bool = False,
        has_date: bool = False,
        has_server: bool = False,
        is_plain: bool = True,
        is_slow: bool = False,
        trailers: bytes = b"",
        file: Any = None,
    ) -> None:
        self.block = block
        self.content_length = content_length
        self.closes = closes
        self.has_date = has_date
        self.has_server = has_server
        self.is_plain = is_plain
        self.is_slow = is_slow
        self.trailers = trailers
        self.file = file
        self.parts: list[bytes] | None = None  # set by `encode_fields`, so that HTTP/2 need not take the block apart

    def is_simple(self) -> bool:
        """Whether there is nothing but lines, and perhaps a content-length."""
        return self.is_plain or not (
            self.closes or self.has_date or self.has_server or self.is_slow or self.trailers or self.file is not None
        )

    def unmeasured(self) -> Fields:
        """Return these fields without their content-length."""
        lines = [line for line in self.block.split(b"\r\n") if line and not line.lower().startswith(b"content-length:")]
        block = b"".join([line + b"\r\n" for line in lines])
        return Fields(
            block, None, self.closes, self.has_date, self.has_server, False, self.is_slow, self.trailers, self.file
        )

    def after(self, block: bytes) -> Fields:
        """Return these fields after others, whose lines are given."""
        return Fields(
            block + self.block,
            self.content_length,
            self.closes,
            self.has_date,
            self.has_server,
            self.is_plain,
            self.is_slow,
            self.trailers,
            self.file,
        )

    def declaring(self, is_slow: bool, trailers: bytes, file: Any = None) -> Fields:
        """Return these fields with the declaration that the response is slow, with trailers, and with a file."""
        return Fields(
            self.block, self.content_length, self.closes, self.has_date, self.has_server, False, is_slow, trailers, file
        )

    def sized(self, size: int) -> Fields:
        """Return these fields, without a file, with a content-length if they have none."""
        block, length = self.block, self.content_length
        if length is None:
            block, length = block + b"content-length: %d\r\n" % size, size
        return Fields(block, length, self.closes, self.has_date, self.has_server, False, self.is_slow, self.trailers)


NO_FIELDS: Final = Fields(b"")

#: (status, or 0 if the response has begun; fields; content; whether more follows)
Reply: TypeAlias = "tuple[int, Fields, bytes, bool]"


def encode_fields(headers: Iterable[tuple[bytes | str, bytes | str]] | Fields) -> Fields:
    """Check header fields and encode them, one line each.

    Nothing is remembered from reply to reply.

    Args:
        headers: pairs of name and value; bytes, or str that is latin-1. Or what this has returned.

    Raises: ReplyError for a name that is not a token, CR, LF or NUL in a value, a wrong or
        repeated content-length, a transfer-encoding other than chunked, or one beside a
        content-length; ReplyTypeError for what is not a pair of bytes.
    Spec: RFC 9110 sections 5.1, 5.5 and 8.6; RFC 9112 section 6.1.
    """
    if type(headers) is Fields:  # encoded once, for many replies
        return headers
    pairs: Any = headers if type(headers) is list else _tuple_of(headers)
    parts: list[bytes] = []
    special: list[tuple[int, bytes]] | None = None
    for pair in pairs:
        try:
            first, second = pair
        except (TypeError, ValueError):
            raise _not_a_pair(pair) from None
        name = first if type(first) is bytes else _latin1(first, pair, "name")
        value = second if type(second) is bytes else _latin1(second, pair, "value")
        role = _ROLES.get(name, _UNKNOWN)
        if role == _UNKNOWN:
            role = _role_of(name)
        if role != _PLAIN:
            if special is None:
                special = []
            special.append((role, value))
            if role >= _CONNECTION:
                _check_value(name, value)
                continue
        if _LF in value or _CR in value or _NUL in value:
            _check_value(name, value)
        parts.append(name)
        parts.append(b": ")
        parts.append(value)
        parts.append(b"\r\n")
    block = b"".join(parts)
    fields = _fields_of(block, None, False, False, False, True) if special is None else _framed(block, special)
    fields.parts = parts
    return fields


def _role_of(name: bytes) -> int:
    """Return what a field of this name is to the server."""
    is_token = name.replace(b"-", b"").isalnum() or (name and not name.translate(None, _TOKEN))
    if not is_token:
        raise ReplyError(f"{shown(name)} is not a header name (letters, digits and !#$%&'*+-.^_`|~)")
    return _SPECIAL.get(name.lower(), _PLAIN)


def _framed(block: bytes, special: list[tuple[int, bytes]]) -> Fields:
    length: int | None = None
    closes = chunked = has_date = has_server = False
    for role, value in special:
        if role == _LENGTH:
            length = _length_of(value, length)
        elif role == _CONNECTION:
            closes = closes or b"close" in value.lower()
        elif role == _CODING:
            chunked = _check_coding(value)
        elif role == _DATE:
            has_date = _once("date", has_date)
        elif role == _SERVER:
            has_server = _once("server", has_server)
    if chunked and length is not None:
        raise ReplyError("transfer-encoding and content-length exclude each other: send one of them, or none")
    return _fields_of(block, length, closes, has_date, has_server, False)


def _fields_of(
    block: bytes, length: int | None, closes: bool, has_date: bool, has_server: bool, is_plain: bool
) -> Fields:
    """Return fields as `Fields` makes them, without its call: cheaper when compiled, and each reply passes here."""
    fields = Fields.__new__(Fields)
    fields.block = block
    fields.content_length = length
    fields.closes = closes
    fields.has_date = has_date
    fields.has_server = has_server
    fields.is_plain = is_plain
    fields.is_slow = False
    fields.trailers = b""
    fields.file = None
    return fields


def _tuple_of(headers: object) -> tuple[object, ...]:
    if not isinstance(headers, Iterable):
        raise ReplyTypeError(f"headers must be pairs of (name, value), not {shown(headers)}")
    return tuple(headers)


def _not_a_pair(pair: object) -> ReplyTypeError:
    return ReplyTypeError(f"headers must be pairs of (name, value), not {shown(pair)}")


def _latin1(text: object, pair: object, what: str) -> bytes:
    """Return a part of a pair as bytes."""
    if type(text) is str:
        if isinstance(pair, str):  # two characters unpack, too
            raise _not_a_pair(pair)
        try:
            plain: str = text
            return plain.encode("latin-1")
        except UnicodeEncodeError:
            raise ReplyError(f"the header {what} {shown(text)} is not latin-1: encode it first") from None
    if isinstance(pair, bytes):
        raise _not_a_pair(pair)
    if isinstance(text, bytes):
        return bytes(text)  # of a subclass
    if isinstance(text, str):
        return _latin1(str(text), pair, what)
    raise ReplyTypeError(f"a header {what} must be bytes, or str in latin-1, not {shown(text)}")


def _check_value(name: bytes, value: bytes) -> None:
    if _CR in value or _LF in value or _NUL in value:
        raise ReplyError(f"the value of header {shown(name)} has CR, LF or NUL in it: {shown(value)}")


def _length_of(value: bytes, before: int | None) -> int:
    if before is not None:
        raise ReplyError("content-length is given twice")
    if not value.isdigit() or len(value) > 19:
        raise ReplyError(f"content-length must be a number of bytes, not {shown(value)}")
    return int(value)


def _once(name: str, is_given: bool) -> bool:
    if is_given:
        raise ReplyError(f"{name} is given twice")
    return True


def _check_coding(value: bytes) -> bool:
    if value.strip().lower() != b"chunked":
        raise ReplyError(f"transfer-encoding must be chunked, not {shown(value)}")
    return True


def shown(value: object) -> str:
    """Return type and value for the text of an error, in bounds."""
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 80 else text[:77] + '...'}"
