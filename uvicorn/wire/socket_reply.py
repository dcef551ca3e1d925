"""Which replies are legal on a socket, in which order: one check per reply. Sans-IO.

A socket is in one of three states:

    CONNECTING   `accept` opens it, and so does a `text` or `bytes` that is not empty; `close`, or `accept` False,
                 refuses it
    OPEN         `text` and `bytes` send a message, `close` closes
    DONE         nothing may be sent

As in `reply.py`, the check runs in the thread that called `send()`, so that a mistake raises on the consumer's own
line, and what it returns is all that the loop needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from uvicorn.errors import ReplyError, ReplyTypeError
from uvicorn.wire.reply import NO_FIELDS, Fields, encode_fields, shown

__all__ = ["BINARY", "CONNECTING", "DONE", "NOTHING", "OPEN", "TEXT", "Action", "SocketReply", "SocketSequence"]

CONNECTING: Final = 0
OPEN: Final = 1
DONE: Final = 2

# What is sent; the first two are the opcodes of RFC 6455 section 5.2.
TEXT: Final = 1
BINARY: Final = 2
NOTHING: Final = 0

_KEYS: Final = frozenset({"accept", "subprotocol", "headers", "text", "bytes", "close", "reason"})
_NORMAL: Final = 1000
#: What an endpoint may put into a close frame (RFC 6455 section 7.4; 1012 to 1014: the registry of IANA), below 3000.
_CLOSE_CODES: Final = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})
_LONGEST_REASON: Final = 123  # bytes of UTF-8; RFC 6455 section 5.5
# The server's own, or those that would break the handshake's framing.
_REFUSED_FIELDS: Final = (b"content-length", b"sec-websocket-", b"upgrade")


class Action(NamedTuple):
    """What a reply does beyond sending a message.

    Attributes:
        accepts: opens the socket.
        subprotocol: the one that the consumer chose, or None.
        fields: header fields for the answer to the handshake.
        refuses: answers the handshake with 403.
        close_code: closes the socket with this code; 0 if it does not.
    """

    accepts: bool = False
    subprotocol: str | None = None
    fields: Fields = NO_FIELDS
    refuses: bool = False
    close_code: int = 0
    reason: str = ""


_ACCEPT: Final = Action(accepts=True)
_REFUSE: Final = Action(refuses=True)

#: (TEXT, BINARY or NOTHING; what else it does, or None; the message, text in UTF-8; False)
#: In the shape of a `Reply`, so that one `Window` serves both.
SocketReply: TypeAlias = "tuple[int, Action | None, bytes, bool]"


class SocketSequence:
    """The state of one socket's reply channel: each reply is checked by it, and changes it.

    Not thread-safe by itself: the channel calls `admit` under a lock.

    Args:
        subprotocols: what the client offers.
    """

    __slots__ = ("_state", "_subprotocols")

    def __init__(self, subprotocols: list[str], state: int = CONNECTING) -> None:
        self._subprotocols = subprotocols
        self._state = state

    def admit(self, reply: Mapping[str, Any]) -> SocketReply:
        """Check one reply, take the sequence a step further, and return what to do.

        Raises: ReplyError, ReplyTypeError; the sequence is then where it was.
        Spec: ASGI draft, "Send/Close/Accept".
        """
        if type(reply) is not dict and not isinstance(reply, Mapping):
            raise ReplyTypeError(f"a reply must be a dict, not {shown(reply)}")
        if self._state == OPEN and len(reply) == 1:
            text = reply.get("text")
            if type(text) is str:  # by far the most frequent one
                return TEXT, None, _encoded(text), False
        if not _KEYS.issuperset(reply):
            raise self._unknown_keys(reply)
        opcode, data = _message_of(reply.get("text"), reply.get("bytes"))
        code, reason = _close_of(reply.get("close"), reply.get("reason"))
        if self._state == CONNECTING:
            return self._open(reply, opcode, data, code, reason)
        if self._state == DONE:
            raise ReplyError("the socket is closed: nothing may be sent after close")
        if reply.get("subprotocol") is not None or reply.get("headers"):
            raise ReplyError("subprotocol and headers are allowed in the reply that accepts the socket only")
        if code:
            self._state = DONE
            return opcode, Action(close_code=code, reason=reason), data, False
        if opcode == NOTHING and "accept" not in reply:
            raise ReplyError("a reply to an open socket needs text, bytes or close")
        return opcode, None, data, False

    def _open(self, reply: Mapping[str, Any], opcode: int, data: bytes, code: int, reason: str) -> SocketReply:
        accept = reply.get("accept")
        if accept is not None and type(accept) is not bool:
            raise ReplyTypeError(f"accept must be True or False, not {shown(accept)}")
        if accept is False or (code and not accept and not data):
            self._state = DONE
            return NOTHING, _REFUSE, b"", False
        if not accept and not data:
            raise ReplyError("the socket is not accepted yet: send accept, a text or bytes that is not empty, or close")
        subprotocol = reply.get("subprotocol")
        if subprotocol is not None and subprotocol not in self._subprotocols:
            offered = ", ".join(map(repr, self._subprotocols)) or "none"
            raise ReplyError(f"subprotocol {subprotocol!r} was not offered by the client; offered: {offered}")
        headers = reply.get("headers")
        fields = _checked(encode_fields(headers)) if headers else NO_FIELDS
        self._state = DONE if code else OPEN
        if subprotocol is None and not headers and not code:
            return opcode, _ACCEPT, data, False
        return opcode, Action(True, subprotocol, fields, False, code, reason), data, False

    def _unknown_keys(self, reply: Mapping[str, Any]) -> ReplyError:
        unknown = ", ".join(sorted(repr(key) for key in reply if key not in _KEYS))
        hint = "; the socket is open: an HTTP response is possible before that only" if "status" in reply else ""
        return ReplyError(f"a reply to a socket cannot have {unknown}; allowed are {', '.join(sorted(_KEYS))}{hint}")


def _message_of(text: Any, data: Any) -> tuple[int, bytes]:
    if text is not None and data is not None:
        raise ReplyError("a reply has text or bytes, not both: send two replies")
    if text is not None:
        if not isinstance(text, str):
            raise ReplyTypeError(f"text must be str, not {shown(text)}: send bytes as 'bytes'")
        return TEXT, _encoded(text)
    if data is None:
        return NOTHING, b""
    if type(data) is bytes:
        return BINARY, data
    if isinstance(data, (bytes, bytearray, memoryview)):
        return BINARY, bytes(data)  # a copy: the caller may write into its buffer again
    raise ReplyTypeError(f"bytes must be bytes, bytearray or memoryview, not {shown(data)}")


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ReplyError(f"text has a lone surrogate at {error.start}: it cannot be sent as UTF-8") from None


def _close_of(close: Any, reason: Any) -> tuple[int, str]:
    """Return the close code, 0 for none, and the reason."""
    if close is None or close is False or (close == 0 and isinstance(close, int)):
        if reason:
            raise ReplyError("a reason needs close")
        return 0, ""
    if close is True:
        close = _NORMAL
    if not isinstance(close, int):
        raise ReplyTypeError(f"close must be True, False or a close code, not {shown(close)}")
    close = int(close)  # it may be an enum's
    if close not in _CLOSE_CODES and not 3000 <= close <= 4999:
        raise ReplyError(f"{close} is not a code to close with: 1000 to 1003, 1007 to 1014, 3000 to 4999")
    if reason is None:
        return close, ""
    if not isinstance(reason, str):
        raise ReplyTypeError(f"reason must be str, not {shown(reason)}")
    if len(_encoded(reason)) > _LONGEST_REASON:
        raise ReplyError(f"a reason has {_LONGEST_REASON} bytes of UTF-8 at most")
    return close, reason


def _checked(fields: Fields) -> Fields:
    """Refuse header fields that would break the handshake."""
    for line in fields.block.lower().split(b"\r\n"):
        if line.startswith(_REFUSED_FIELDS):
            raise ReplyError(f"the server sets {line.partition(b':')[0].decode('latin-1')!r} of a handshake itself")
    return fields
