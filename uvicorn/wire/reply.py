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

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from uvicorn.errors import ReplyError, ReplyTypeError

__all__ = ["BODILESS", "DONE", "NO_FIELDS", "START", "STREAM", "Fields", "Reply", "ReplySequence"]

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
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
# Header names that are looked at; the rest goes on the wire as it is.
_SPECIAL: Final = frozenset({b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"date", b"server"})
# Of these, the ones that the server alone sets.
_DROPPED: Final = frozenset({b"connection", b"transfer-encoding", b"keep-alive"})
_MOST_CACHED: Final = 1024  # arbitrary; emptied when full: unique values cannot fill memory
_LONGEST_CACHED: Final = 256  # bytes; arbitrary

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Fields:
    """The header fields of one reply, checked and encoded.

    Attributes:
        block: the lines as they go on the wire, each with its CRLF.
        content_length: what the consumer promised, in bytes, or None.
        closes: the consumer asked for `connection: close`.
        has_date, has_server: the consumer sent its own.
        is_plain: none of the above.
    """

    block: bytes
    content_length: int | None = None
    closes: bool = False
    has_date: bool = False
    has_server: bool = False
    is_plain: bool = True


NO_FIELDS: Final = Fields(b"")

#: (status, or 0 if the response has begun; fields; content; whether more follows)
Reply: TypeAlias = "tuple[int, Fields, bytes, bool]"


class ReplySequence:
    """Follow one reply channel through the table, and check each reply on the way.

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
        if type(reply) is not dict and not isinstance(reply, Mapping):
            raise ReplyTypeError(f"a reply must be a dict, not {_shown(reply)}")
        status = reply.get("status")
        headers = reply.get("headers")
        content = reply.get("content")
        more: Any = False
        if status is None or headers is None or content is None or len(reply) != 3:  # not the most frequent shape
            _check_keys(reply)
            more = reply.get("more_content", False)
        if type(content) is not bytes:
            content = _bytes_of(content) if "content" in reply else b""
        if more is not False and more is not True:
            raise ReplyTypeError(f"more_content must be True or False, not {_shown(more)}")
        if status is None:
            return self._admit_chunk(headers, content, more)
        if self._state != START:
            raise self._out_of_order("first" if more else "whole")
        if type(status) is not int:
            raise ReplyTypeError(f"status must be an int, not {_shown(status)}")
        if not 200 <= status <= 599:
            raise ReplyError(f"status must be 200 to 599, not {status}")
        fields = encode_fields(headers) if headers else NO_FIELDS
        promised = fields.content_length
        if promised is not None:
            self._admit_length(promised, status, content, more)
        self._state = STREAM if more else DONE
        return status, fields, content, more

    def _admit_chunk(self, headers: Any, content: bytes, more: bool) -> Reply:
        state = _NEXT.get((self._state, "chunk" if more else "last"))
        if state is None:
            raise self._out_of_order("chunk" if more else "last")
        if headers:
            raise ReplyError("headers are allowed in the first reply only, beside status")
        if self._remaining is not None:
            self._take_promised(content, more)
        self._state = state
        return 0, NO_FIELDS, content, more

    def _admit_length(self, promised: int, status: int, content: bytes, more: bool) -> None:
        if status in BODILESS or self._is_head:
            return  # says what a GET would have had: RFC 9110 section 8.6
        self._remaining = promised
        try:
            self._take_promised(content, more)
        except ReplyError:
            self._remaining = None
            raise

    def _take_promised(self, content: bytes, more: bool) -> None:
        assert self._remaining is not None
        remaining = self._remaining - len(content)
        if remaining < 0 or (remaining and not more):
            raise ReplyError(
                f"content-length promised {'no' if not self._remaining else self._remaining} more bytes, "
                f"and this {'is the last reply with' if not more else 'reply has'} {len(content)}"
            )
        self._remaining = remaining

    def _out_of_order(self, kind: str) -> ReplyError:
        if self._state == DONE:
            return ReplyError("the reply is complete: nothing may be sent after it (was more_content=True forgotten?)")
        if self._state == START:
            return ReplyError("the first reply must have a status")
        assert kind in ("first", "whole")
        return ReplyError("status is allowed in the first reply only: this response has begun")


def encode_fields(headers: Iterable[tuple[bytes | str, bytes | str]]) -> Fields:
    """Check header fields and encode them, one line each.

    Args:
        headers: pairs of name and value; bytes, or str that is latin-1.

    Raises: ReplyError for a name that is not a token, CR, LF or NUL in a value, a wrong or
        repeated content-length, a transfer-encoding other than chunked, or one beside a
        content-length; ReplyTypeError for what is not a pair of bytes.
    Spec: RFC 9110 sections 5.1, 5.5 and 8.6; RFC 9112 section 6.1.
    """
    if type(headers) is not list and not isinstance(headers, Iterable):
        raise ReplyTypeError(f"headers must be pairs of (name, value), not {_shown(headers)}")
    pairs = tuple(headers)
    try:
        fields = _FIELDS.get(pairs)
    except TypeError:  # something in it cannot be hashed: a pair that is a list, or none at all
        return _encode(pairs)
    if fields is None:
        fields = _encode(pairs)
        if len(fields.block) <= _LONGEST_CACHED:
            _remember(_FIELDS, pairs, fields)
    return fields


def _encode(pairs: tuple[object, ...]) -> Fields:
    special: list[tuple[bytes, bytes]] = []
    block = b"".join([_encode_field(pair, special) for pair in pairs])
    return _framed(block, special) if special else Fields(block)


# Most consumers send the same few fields again and again.
_FIELDS: dict[Any, Fields] = {}  # the pairs as the consumer gave them -> fields
_LINES: dict[Any, bytes] = {}  # one pair -> line, where other pairs change


def _remember(cache: dict[Any, _T], key: Any, value: _T) -> None:
    if len(cache) >= _MOST_CACHED:
        cache.clear()
    cache[key] = value


def _encode_field(pair: object, special: list[tuple[bytes, bytes]]) -> bytes:
    """Check one field and return its line; add it to `special` if the server must know of it."""
    name: Any
    value: Any
    try:
        known = _LINES.get(pair)
        if known is not None:
            return known
    except TypeError:
        pass
    try:
        if isinstance(pair, (bytes, str)):  # two characters would unpack, too
            raise TypeError
        name, value = pair  # type: ignore[misc]  # whatever the consumer sent
    except (TypeError, ValueError):
        raise ReplyTypeError(f"headers must be pairs of (name, value), not {_shown(pair)}") from None
    if type(name) is not bytes:
        name = _latin1(name, "name")
    if type(value) is not bytes:
        value = _latin1(value, "value")
    if not _TOKEN.fullmatch(name):
        raise ReplyError(f"{_shown(name)} is not a header name (letters, digits and !#$%&'*+-.^_`|~)")
    if b"\r" in value or b"\n" in value or b"\0" in value:
        raise ReplyError(f"the value of header {_shown(name)} has CR, LF or NUL in it: {_shown(value)}")
    line: bytes = name + b": " + value + b"\r\n"
    lowered = name.lower()
    if lowered in _SPECIAL:
        special.append((lowered, value))
        return b"" if lowered in _DROPPED else line
    if len(line) <= _LONGEST_CACHED and isinstance(pair, tuple):
        _remember(_LINES, pair, line)
    return line


def _framed(block: bytes, special: list[tuple[bytes, bytes]]) -> Fields:
    length: int | None = None
    closes = chunked = has_date = has_server = False
    for name, value in special:
        if name == b"content-length":
            length = _length_of(value, length)
        elif name == b"connection":
            closes = closes or b"close" in value.lower()
        elif name == b"transfer-encoding":
            chunked = _check_coding(value)
        elif name == b"date":
            has_date = _once(name, has_date)
        elif name == b"server":
            has_server = _once(name, has_server)
    if chunked and length is not None:
        raise ReplyError("transfer-encoding and content-length exclude each other: send one of them, or none")
    return Fields(block, length, closes, has_date, has_server, is_plain=False)


def _latin1(text: object, what: str) -> bytes:
    if isinstance(text, bytes):
        return bytes(text)  # of a subclass
    if not isinstance(text, str):
        raise ReplyTypeError(f"a header {what} must be bytes, or str in latin-1, not {_shown(text)}")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise ReplyError(f"the header {what} {_shown(text)} is not latin-1: encode it first") from None


def _length_of(value: bytes, before: int | None) -> int:
    if before is not None:
        raise ReplyError("content-length is given twice")
    if not value.isdigit() or len(value) > 19:
        raise ReplyError(f"content-length must be a number of bytes, not {_shown(value)}")
    return int(value)


def _once(name: bytes, is_given: bool) -> bool:
    if is_given:
        raise ReplyError(f"{name.decode()} is given twice")
    return True


def _check_coding(value: bytes) -> bool:
    if value.strip().lower() != b"chunked":
        raise ReplyError(f"transfer-encoding must be chunked, not {_shown(value)}")
    return True


def _bytes_of(content: object) -> bytes:
    if isinstance(content, (bytes, bytearray, memoryview)):
        return bytes(content)  # a copy: the caller may write into its buffer again after send()
    hint = ": encode it first, for example with .encode('utf-8')" if isinstance(content, str) else ""
    raise ReplyTypeError(f"content must be bytes, bytearray or memoryview, not {_shown(content)}{hint}")


def _check_keys(reply: Mapping[str, Any]) -> None:
    if not _KEYS.issuperset(reply):
        unknown = ", ".join(sorted(repr(key) for key in reply if key not in _KEYS))
        raise ReplyError(f"a reply over HTTP cannot have {unknown}; allowed are {', '.join(sorted(_KEYS))}")


def _shown(value: object) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 80 else text[:77] + '...'}"
