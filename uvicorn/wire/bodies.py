"""Read what a request's body is made of, and find its end. Sans-IO.

Nobody else looks at a body: httptools is given heads alone, so there is no second opinion on where one ends.

**One verdict.** The same bytes get the same answer, however the network has cut them: what is refused before a line is
complete is refused for its first byte too many, and content that comes before a mistake is handed on before the
mistake is raised.

**Linear.** No byte is looked at again because more came.

Spec: RFC 9112 sections 6 and 7.1; RFC 9110 section 6.5.1 for trailers.
"""

from __future__ import annotations

import re
import sys
from typing import Final

from uvicorn.errors import ClientError

__all__ = ["ChunkedReader", "LengthReader"]

_CRLF: Final = b"\r\n"
_LF: Final = b"\n"
_CODE_CR: Final = 13
_CODE_LF: Final = 10

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED: Final = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_EXTENSION: Final = rb"[ \t]*;[ \t]*%b(?:[ \t]*=[ \t]*(?:%b|%b))?" % (_TOKEN, _TOKEN, _QUOTED)
_SIZE_LINE: Final = re.compile(rb"0*([0-9A-Fa-f]{1,15})(?:%b)*\r\n" % _EXTENSION)  # 60 bits: more is no size
_TRAILER_LINE: Final = re.compile(rb"%b:[\t\x20-\x7e\x80-\xff]*\r\n" % _TOKEN)
_MOST_EXCESS: Final = 16384  # bytes; arbitrary, as the next two, which are Go's
_FREE_PER_CHUNK: Final = 16
_FREE_PER_BYTE: Final = 2

# What a chunked body goes on with.
_SIZE: Final = 0
_CHUNK: Final = 1
_CHUNK_CR: Final = 2
_CHUNK_LF: Final = 3
_TRAILER: Final = 4


class LengthReader:
    """The reader of a body whose content-length is known.

    Attributes:
        end: where in the bytes that were given last the next ones begin.
        is_complete: the whole body has come.
    """

    __slots__ = ("_left", "end", "is_complete")

    def __init__(self, length: int) -> None:
        self._left = length
        self.end = 0
        self.is_complete = not length

    def read(self, data: bytes, at: int, most_lines: int = sys.maxsize) -> bytes:
        """Return what is content from `at` on."""
        end = len(data)
        if end - at >= self._left:
            end = at + self._left
            self.is_complete = True
        self._left -= end - at
        self.end = end
        return data[at:end]


class ChunkedReader:
    """The reader of a chunked body. Extensions and trailers are checked, and dropped.

    What is not content is bounded by what is: so much may come free with each chunk and each byte, and so much more in
    all (CVE-2023-39326 is about servers without that bound).

    Attributes:
        end: where in the bytes that were given last the next ones begin.
        is_complete: the whole body has come.

    Spec: RFC 9112 section 7.1; RFC 9110 section 6.5.1 for trailers.
    """

    __slots__ = ("_excess", "_left", "_line", "_state", "end", "is_complete")

    def __init__(self) -> None:
        self._state = _SIZE
        self._left = 0  # bytes of the chunk that are still to come
        self._line = bytearray()  # the line that is not complete yet
        self._excess = 0  # bytes of framing beyond what is free
        self.end = 0
        self.is_complete = False

    def read(self, data: bytes, at: int, most_lines: int = sys.maxsize) -> bytes:
        """Return the content from `at` on, as far as the framing is right; take so many lines at the most.

        Raises: ClientError, if nothing before the mistake is content: 400, or 431 for too much that is none.
        """
        chunks: list[bytes] = []
        size = len(data)
        while at < size and not self.is_complete:
            state = self._state
            if state == _CHUNK:
                end = min(at + self._left, size)
                self._left -= end - at
                chunks.append(data[at:end])
                at = end
                if not self._left:
                    self._state = _CHUNK_CR
                continue
            try:
                if state in (_CHUNK_CR, _CHUNK_LF):
                    at = self._end_chunk(data, at)
                elif most_lines:
                    most_lines -= 1
                    at = self._take_line(data, at)
                else:
                    break
            except ClientError:
                if not chunks:
                    raise
                break  # what came before it goes first; it is found again with the next call
        self.end = at
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _end_chunk(self, data: bytes, at: int) -> int:
        if self._state == _CHUNK_CR and data.startswith(_CRLF, at):
            self._state = _SIZE
            return at + 2
        if data[at] != (_CODE_CR if self._state == _CHUNK_CR else _CODE_LF):
            raise ClientError(400, "a chunk is longer than its size")
        self._state = _CHUNK_LF if self._state == _CHUNK_CR else _SIZE
        return at + 1

    def _take_line(self, data: bytes, at: int) -> int:
        """Take a line, or a part of one. Nothing is changed if it is refused, and began here."""
        room = _MOST_EXCESS - self._excess - len(self._line)
        lf = data.find(_LF, at, at + room) + 1
        if not lf:
            if len(data) - at > room:
                raise ClientError(431, "chunk extensions or trailers too large")
            self._line += data[at:]
            return len(data)
        line = data[at:lf]
        if self._line:
            line = bytes(self._line) + line
            self._line.clear()
        if self._state == _TRAILER:
            self._end_trailer(line)
        else:
            self._end_size(line)
        return lf

    def _end_size(self, line: bytes) -> None:
        found = _SIZE_LINE.fullmatch(line)
        if found is None:
            raise ClientError(400, f"invalid chunk size {line[:40]!r}")
        size = int(found[1], 16)
        self._excess = max(0, self._excess + len(line) - _FREE_PER_CHUNK - _FREE_PER_BYTE * size)
        self._left = size
        self._state = _CHUNK if size else _TRAILER

    def _end_trailer(self, line: bytes) -> None:
        if line == _CRLF:
            self.is_complete = True
        elif not _TRAILER_LINE.fullmatch(line):
            raise ClientError(400, f"invalid trailer field {line[:40]!r}")
        self._excess += len(line)
