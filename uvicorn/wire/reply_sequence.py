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
from typing import Any, Final

from uvicorn.errors import ReplyError, ReplyTypeError
from uvicorn.wire.reply import BODILESS, NO_FIELDS, Reply, encode_fields, shown

__all__ = ["DONE", "START", "STREAM", "ReplySequence"]

START: Final = 0
STREAM: Final = 1
DONE: Final = 2

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
            if not isinstance(status, int) or isinstance(status, bool):
                raise ReplyTypeError(f"status must be an int, not {shown(status)}")
            status = int(status)  # an HTTPStatus
        if not 200 <= status <= 599:
            raise ReplyError(f"status must be 200 to 599, not {status}")
        fields = encode_fields(headers) if headers else NO_FIELDS
        promised = fields.content_length
        if promised is not None:
            if not promised and status in BODILESS:
                # What a framework says of the empty content that it has: here it would be said of what a GET has.
                fields = fields.unmeasured()
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


def _dict_of(reply: object) -> dict[str, Any]:
    if not isinstance(reply, Mapping):
        raise ReplyTypeError(f"a reply must be a dict, not {shown(reply)}")
    return dict(reply)


def _bytes_of(content: object) -> bytes:
    if isinstance(content, (bytes, bytearray, memoryview)):
        return bytes(content)  # a copy: the caller may write into its buffer again after send()
    hint = ": encode it first, for example with .encode('utf-8')" if isinstance(content, str) else ""
    raise ReplyTypeError(f"content must be bytes, bytearray or memoryview, not {shown(content)}{hint}")
