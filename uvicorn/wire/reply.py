"""Which replies are legal, in which order: a table, and one check per reply. Sans-IO.

A reply is one of four kinds, told apart by two of its keys:

    whole   has `status`, no more content follows     a complete response in one message
    first   has `status`, more content follows        the head of a streamed response
    chunk   no `status`, more content follows
    last    no `status`, no more content follows

and a reply channel is in one of three states. `_NEXT` says what may happen:

                 whole      first      chunk      last
    START        DONE       STREAM     -          -
    STREAM       -          -          STREAM     DONE
    DONE         -          -          -          -

The check runs in the thread that called `send()`, so that a mistake raises on the
consumer's own line, before anything is written. What it returns is all that the
encoder needs: nobody looks at the consumer's dict again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from uvicorn.errors import ReplyError, ReplyTypeError

__all__ = ["BODILESS", "DONE", "NO_FIELDS", "START", "STREAM", "Fields", "Reply", "ReplySequence", "shown"]

START: Final = 0
STREAM: Final = 1
DONE: Final = 2

BODILESS: Final = frozenset({204, 304})  # RFC 9110 sections 15.3.5 and 15.4.5

_NEXT: Final[dict[tuple[int, str], int]] = {
    (START, "whole"): DONE,
    (START, "first"): STREAM,
    (STREAM, "chunk"): STREAM,
    (STREAM, "last"): DONE,
}
_KEYS: Final = frozenset({"status", "headers", "content", "more_content"})
_DECLARATIONS: Final = frozenset({"file", "slow", "trailers"})
#: What a client must know before it reads the content, or what says something of the connection.
_NO_TRAILERS: Final = frozenset(
    b"age authorization cache-control content-encoding content-length content-range content-type date expires host "
    b"location proxy-authenticate retry-after set-cookie trailer upgrade vary www-authenticate".split()
)
_TOKEN: Final = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # RFC 9110, 5.6.2

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
    """

    __slots__ = (
        "block", "closes", "content_length", "file", "has_date", "has_server", "is_plain", "is_slow", "trailers",
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


class ReplySequence:
    """Where one reply channel is in the table: each reply is checked by it, and moves it on.

    Not thread-safe by itself: the channel calls `admit` on the loop, or under a lock.
    """

    __slots__ = ("_is_head", "_remaining", "_state")

    def __init__(self, is_head: bool) -> None:
        self._is_head = is_head  # the request's method is HEAD
        self._state: int = START
        self._remaining: int | None = None  # bytes that a promised content-length still wants

    def admit(self, reply: Mapping[str, Any]) -> Reply:
        """Check one reply, take the sequence a step further, and return what to encode.

        Raises: ReplyError, ReplyTypeError; the sequence is then where it was.
        Spec: ASGI draft, "Response" and "Response Chunk".
        """
        given = reply if type(reply) is dict else _dict_of(reply)
        status = given.get("status")
        headers = given.get("headers")
        content = given.get("content")
        more: Any = False
        if status is None or headers is None or content is None or len(given) != 3:  # not the most frequent shape
            if not _KEYS.issuperset(given):
                return self._admit_declared(given)
            more = given.get("more_content", False)
        if type(content) is not bytes:
            content = _bytes_of(content) if "content" in given else b""
        if more is not False and more is not True:
            raise ReplyTypeError(f"more_content must be True or False, not {shown(more)}")
        if status is None:
            return self._admit_chunk(headers, content, more)
        if self._state != START:
            raise self._out_of_order("first" if more else "whole")
        if type(status) is not int:
            raise ReplyTypeError(f"status must be an int, not {shown(status)}")
        if not 200 <= status <= 599:
            raise ReplyError(f"status must be 200 to 599, not {status}")
        fields = encode_fields(headers) if headers else NO_FIELDS
        promised = fields.content_length
        if promised is not None:
            self._admit_length(promised, status, content, more)
        self._state = STREAM if more else DONE
        return status, fields, content, more

    def _admit_declared(self, reply: Mapping[str, Any]) -> Reply:
        """Admit a reply that has `file`, `slow` or `trailers`, or unknown keys."""
        if "file" in reply:
            return self._admit_opened(reply)
        unknown = [key for key in reply if key not in _KEYS and key not in _DECLARATIONS]
        if unknown:
            names = ", ".join(sorted(map(repr, unknown)))
            allowed = ", ".join(sorted({*_KEYS, *_DECLARATIONS}))
            raise ReplyError(f"a reply over HTTP cannot have {names}; allowed are {allowed}")
        slow = reply.get("slow", False)
        if slow is not False and slow is not True:
            raise ReplyTypeError(f"slow must be True or False, not {shown(slow)}")
        if slow and reply.get("status") is None:
            raise ReplyError("slow is allowed in the first reply only, beside status")
        trailers = reply.get("trailers")
        if trailers is not None and reply.get("more_content", False):
            raise _early_trailers()
        block = _trailer_block(trailers) if trailers else b""
        rest = {key: value for key, value in reply.items() if key not in _DECLARATIONS}
        status, fields, content, more = self.admit(rest)
        return status, fields.declaring(slow, block) if slow or block else fields, content, more

    def _admit_opened(self, reply: Mapping[str, Any]) -> Reply:
        """Admit a reply that has `file`, by `admit_file`: for who can open it."""
        raise NotImplementedError

    def admit_file(self, reply: Mapping[str, Any], size: int) -> Reply:
        """Admit a reply that has so many bytes of a file in place of content; the file is for the caller to add.

        Args:
            reply: without `file`.
        """
        if "content" in reply:
            raise ReplyError("a reply has either content or a file")
        before = self._state, self._remaining
        more = reply.get("more_content", False)
        begun = {**reply, "content": b"", "more_content": more or True}
        trailers = begun.pop("trailers", None)
        if trailers is not None and more:
            raise _early_trailers()
        block = _trailer_block(trailers) if trailers else b""
        status, fields, content, _ = self.admit(begun)
        if self._remaining is not None:
            try:
                self._take_promised(size, more)
            except ReplyError:
                self._state, self._remaining = before
                raise
        if not more:
            self._state = DONE
        return status, fields.declaring(fields.is_slow, block) if block else fields, content, more

    def _admit_chunk(self, headers: Any, content: bytes, more: bool) -> Reply:
        state = _NEXT.get((self._state, "chunk" if more else "last"))
        if state is None:
            raise self._out_of_order("chunk" if more else "last")
        if headers:
            raise ReplyError("headers are allowed in the first reply only, beside status")
        if self._remaining is not None:
            self._take_promised(len(content), more)
        self._state = state
        return 0, NO_FIELDS, content, more

    def _admit_length(self, promised: int, status: int, content: bytes, more: bool) -> None:
        if status in BODILESS or self._is_head:
            return  # says what a GET would have had: RFC 9110 section 8.6
        self._remaining = promised
        try:
            self._take_promised(len(content), more)
        except ReplyError:
            self._remaining = None
            raise

    def _take_promised(self, size: int, more: bool) -> None:
        assert self._remaining is not None
        remaining = self._remaining - size
        if remaining < 0 or (remaining and not more):
            raise ReplyError(
                f"content-length promised {'no' if not self._remaining else self._remaining} more bytes, "
                f"and this {'is the last reply with' if not more else 'reply has'} {size}"
            )
        self._remaining = remaining

    def _out_of_order(self, kind: str) -> ReplyError:
        if self._state == DONE:
            return ReplyError("the reply is complete: nothing may be sent after it (was more_content=True forgotten?)")
        if self._state == START:
            return ReplyError("the first reply must have a status")
        assert kind in ("first", "whole")
        return ReplyError("status is allowed in the first reply only: this response has begun")


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
        parts.append(name)
        parts.append(b": ")
        parts.append(value)
        parts.append(b"\r\n")
    block = b"".join(parts)
    # Of all values at once: one CR and one LF end each line, and there are no others.
    lines = len(parts) // 4
    if block.count(b"\n") != lines or block.count(b"\r") != lines or b"\0" in block:
        for at in range(0, len(parts), 4):
            _check_value(parts[at], parts[at + 2])
    return Fields(block) if special is None else _framed(block, special)


def _trailer_block(trailers: Iterable[tuple[bytes | str, bytes | str]]) -> bytes:
    """Check trailers and encode them.

    Raises: ReplyError for what is not allowed in them: fields that must be known before the content (RFC 9110 section
        6.5.1), and those that the server sets.
    """
    fields = encode_fields(trailers)
    names = [line.partition(b":")[0].lower() for line in fields.block.split(b"\r\n")]
    refused = [name for name in names if name in _NO_TRAILERS]
    if refused or not fields.is_plain:
        raise ReplyError(f"{shown(refused[0]) if refused else 'a field about the connection'} cannot be a trailer")
    return fields.block


def _early_trailers() -> ReplyError:
    return ReplyError("trailers are allowed in the last reply only, which has no more_content")


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
    return Fields(block, length, closes, has_date, has_server, False)


def _dict_of(reply: object) -> dict[str, Any]:
    if not isinstance(reply, Mapping):
        raise ReplyTypeError(f"a reply must be a dict, not {shown(reply)}")
    return dict(reply)


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
            return text.encode("latin-1")
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
    if b"\r" in value or b"\n" in value or b"\0" in value:
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


def _bytes_of(content: object) -> bytes:
    if isinstance(content, (bytes, bytearray, memoryview)):
        return bytes(content)  # a copy: the caller may write into its buffer again after send()
    hint = ": encode it first, for example with .encode('utf-8')" if isinstance(content, str) else ""
    raise ReplyTypeError(f"content must be bytes, bytearray or memoryview, not {shown(content)}{hint}")


def shown(value: object) -> str:
    """Return type and value for the text of an error, in bounds."""
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 80 else text[:77] + '...'}"
