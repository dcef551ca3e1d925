"""From a reply to the fields of an HTTP/2 head. Sans-IO.

Spec: RFC 9113 sections 8.2 and 8.3.
"""

from __future__ import annotations

from typing import Final

from uvicorn.wire.encoder import Encoder, content_length
from uvicorn.wire.reply import Fields

__all__ = ["CONNECTION_FIELDS", "HeadWriter", "pairs_of"]

_SPACE: Final = 0x20
#: RFC 9113 section 8.2.2.
CONNECTION_FIELDS: Final = frozenset({
    b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade",
})  # fmt: skip


class HeadWriter:
    """What makes the heads of a worker's responses. The fields that all have are those of the `Encoder`."""

    __slots__ = ("_encoder", "_prefixes")

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._prefixes: dict[int, tuple[bytes, list[tuple[bytes, bytes]]]] = {}  # made anew when the date is

    def head(self, status: int, fields: Fields, length: int | None) -> list[tuple[bytes, bytes]]:
        """Return the fields of the head of a response.

        Args:
            length: the content-length to send if the consumer sent none, or None.
        """
        encoder = self._encoder
        prefix = encoder.prefixes.get(status) or encoder.prefix(status)
        made = self._prefixes.get(status)
        if made is None or made[0] is not prefix:
            made = (prefix, [(b":status", b"%d" % status), *pairs_of(prefix.partition(b"\r\n")[2])])
            self._prefixes[status] = made
        pairs = made[1]
        own = pairs_of(fields.block) if fields.parts is None else _pairs(fields.parts)
        if fields.has_server:
            pairs = [pair for pair in pairs if pair[0] != b"server"]
        if fields.has_date:
            pairs = [pair for pair in pairs if pair[0] != b"date"]
        if status == 204 and not fields.is_plain:
            own = [pair for pair in own if pair[0] != b"content-length"]
        pairs = pairs + own
        if length is not None and fields.content_length is None:
            pairs.append((b"content-length", content_length(length)[16:-2]))
        return pairs


def pairs_of(block: bytes) -> list[tuple[bytes, bytes]]:
    """Return the fields of encoded lines, as HTTP/2 has them: in lower case, and none about a connection."""
    parts: list[bytes] = []
    for line in block.split(b"\r\n"):
        name, separator, value = line.partition(b": ")
        if name:  # no empty line, as behind the last one
            parts += (name, separator, value, b"\r\n")
    return _pairs(parts)


def _pairs(parts: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Do so for the parts of lines, as `Fields.parts` has them."""
    pairs = []
    for at in range(0, len(parts), 4):
        name = parts[at]
        if not name.islower():  # most are, and then they are not made anew
            name = name.lower()
        if name not in CONNECTION_FIELDS:
            value = parts[at + 2]
            if value and (value[0] <= _SPACE or value[-1] <= _SPACE):
                value = value.strip(b" \t")
            pairs.append((name, value))
    return pairs
