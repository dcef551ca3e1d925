"""One message for many sockets: encoded once, and its frames made once for all that take the same. Sans-IO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from uvicorn.wire.socket_reply import BINARY, TEXT

__all__ = ["SharedMessage", "share"]


class SharedMessage:
    """A reply that is sent to many sockets, and says nothing but one text or bytes.

    Attributes:
        content: the reply itself.
        opcode, data: TEXT in UTF-8, or BINARY.
        frame: of the message as it is; None until it is made.
        deflated: size of a client's window -> the compressed frame; empty if that is not smaller (`deflate.py`).
    """

    __slots__ = ("content", "data", "deflated", "frame", "opcode")

    def __init__(self, content: Mapping[str, Any], opcode: int, data: bytes) -> None:
        self.content = content
        self.opcode = opcode
        self.data = data
        self.frame: bytes | None = None
        self.deflated: dict[int, bytes] = {}


def share(content: Mapping[str, Any]) -> SharedMessage | None:
    """Prepare a reply for many sockets; None for one that must be looked at by each."""
    if len(content) != 1:
        return None
    text, data = content.get("text"), content.get("bytes")
    if type(text) is str:
        try:
            return SharedMessage(content, TEXT, text.encode())
        except UnicodeEncodeError:
            return None  # each member's own check says what is wrong
    return SharedMessage(content, BINARY, data) if type(data) is bytes else None
