"""Cut what a client sends into heads and bodies, at exact boundaries. Sans-IO.

httptools can neither stop between two requests nor say where one ended, and it has no limits. So we
find the boundaries ourselves and feed it one piece at a time: a complete head, or a piece of a body
that ends where the body ends at the latest. Requests behind it wait as bytes, not as objects.

A head ends with the first empty line. A body with a content-length has a known end. The end of a chunked
body is found by its size lines; httptools decodes it, and has the last word on whether it has ended.
"""

from __future__ import annotations

import re
import sys
from typing import Final

from uvicorn.errors import ClientError
from uvicorn.wire.limits import Limits

__all__ = ["ChunkedCutter", "FrameCutter", "HeadBuffer", "check_first_byte"]

_END: Final = b"\r\n\r\n"
_CRLF: Final = b"\r\n"
_CR: Final = 13
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[;\r]")
_LONGEST_CHUNK_LINE: Final = 16384  # bytes; arbitrary
_LONGEST_FRAME_HEAD: Final = 10  # bytes, without the mask

# What a chunked body goes on with.
_SIZE_LINE: Final = 0
_CHUNK: Final = 1
_TRAILER: Final = 2
_LETTERS: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


class HeadBuffer:
    """Gather a head that comes in pieces, and refuse it as soon as it is certain to be refused."""

    __slots__ = ("_fields", "_limits", "_line_start", "data")

    def __init__(self, limits: Limits) -> None:
        self.data = bytearray()
        self._limits = limits
        self._line_start = 0  # of the line that is not complete yet
        self._fields = -1  # complete lines after the request line

    def add(self, data: bytes) -> int:
        """Add what came; return the size of the head if it is complete, else 0.

        Raises: ClientError, 400, 414 or 431.
        """
        buffer = self.data
        buffer += data
        if not self._line_start:
            while buffer[:2] == b"\r\n":  # RFC 9112 section 2.2: empty lines before a request line
                del buffer[:2]
            if not buffer or buffer == b"\r":
                return 0
            check_first_byte(buffer)
        end = buffer.find(_END, max(0, len(buffer) - len(data) - 3))
        self._check_lines(end + 2 if end >= 0 else len(buffer))
        return end + 4 if end >= 0 else 0

    def take(self, size: int) -> tuple[bytes, bytes]:
        """Return the head of this size, and what came after it; begin anew."""
        head, rest = bytes(self.data[:size]), bytes(self.data[size:])
        self.data = bytearray()
        self._line_start = 0
        self._fields = -1
        return head, rest

    def _check_lines(self, end: int) -> None:
        buffer, limits = self.data, self._limits
        while (lf := buffer.find(b"\n", self._line_start, end)) >= 0:
            if lf == self._line_start or buffer[lf - 1] != _CR:
                raise ClientError(400, "a line ends with LF alone")
            self._check_length(lf + 1 - self._line_start)
            self._line_start = lf + 1
            self._fields += 1
            if self._fields > limits.request_fields:
                raise ClientError(431, "too many header fields")
        self._check_length(end - self._line_start)
        if end > limits.longest_head:
            raise ClientError(431, "head too large")

    def _check_length(self, length: int) -> None:
        limits = self._limits
        if self._line_start == 0:
            if limits.request_line and length > limits.request_line + 2:
                raise ClientError(414, "request line too long")
        elif limits.request_field_size and length > limits.request_field_size:
            raise ClientError(431, "header field too large")


class ChunkedCutter:
    """Find the end of a chunked body, by following the sizes of its chunks (RFC 9112 section 7.1).

    httptools decodes and checks what is cut; a size line that we read otherwise than it does must not exist, so what is
    not plainly one is refused here.
    """

    __slots__ = ("_left", "_line", "_state")

    def __init__(self) -> None:
        self._state = _SIZE_LINE
        self._left = 0  # bytes of the chunk that are still to come, with its CRLF
        self._line = bytearray()  # the line that is not complete yet

    def cut(self, data: bytes, start: int, most_lines: int = sys.maxsize) -> int:
        """Return how many bytes from `start` on belong to the body; look at so many lines at the most.

        Raises: ClientError, 400 for a size line that is none, 431 for a line that is too long.
        """
        at, end = start, len(data)
        lines = 0
        while at < end:
            if self._state == _CHUNK:
                taken = min(self._left, end - at)
                at += taken
                self._left -= taken
                if not self._left:
                    self._state = _SIZE_LINE
                continue
            if lines == most_lines:
                break
            lines += 1
            lf = data.find(b"\n", at) + 1
            self._line += data[at : lf or end]
            at = lf or end
            if len(self._line) > _LONGEST_CHUNK_LINE:
                raise ClientError(431, "chunk extension or trailer too large")
            if lf and self._line_ended():
                break
        return at - start

    def _line_ended(self) -> bool:
        """Take a complete line; return whether it is the last one of the body."""
        line, self._line = self._line, bytearray()
        if self._state == _TRAILER:
            return line == _CRLF
        found = _CHUNK_SIZE.match(line)
        if found is None:
            raise ClientError(400, f"invalid chunk size {bytes(line[:40])!r}")
        size = int(found[1], 16)
        self._left = size + 2
        self._state = _CHUNK if size else _TRAILER
        return False


class FrameCutter:
    """Find where the frames of a socket end, so that they can be counted and taken one by one (RFC 6455 section 5.2).

    It looks at lengths only: what is wrong with a frame is found by who reads it.
    """

    __slots__ = ("_head", "_left")

    def __init__(self) -> None:
        self._left = 0  # bytes of the frame that has begun, still to come
        self._head = b""  # of a frame whose length has not come yet

    @property
    def is_inside(self) -> bool:
        """Whether a frame has begun and is not complete."""
        return bool(self._left or self._head)

    def cut(self, data: bytes, start: int, most: int) -> int:
        """Return where the frame that is at `start` ends, or the part of it that is there; `most` at the furthest."""
        size = len(data)
        if not self._left:
            missing = len(self._head)
            head = self._head + data[start : start + _LONGEST_FRAME_HEAD - missing] if missing else data
            at = 0 if missing else start
            length = _frame_size(head, at)
            if not length:
                self._head = head[at:] if missing else data[start:]
                return size
            self._head = b""
            self._left = length - missing
        end = min(start + self._left, size, most)
        self._left -= end - start
        return end


def _frame_size(data: bytes, at: int) -> int:
    """Return the bytes of the frame that begins here, its head included; 0 if that has not come yet."""
    have = len(data) - at
    if have < 2:
        return 0
    second = data[at + 1]
    length = second & 0x7F
    size = 2 + (4 if second & 0x80 else 0)
    if length == 126:
        return size + 2 + int.from_bytes(data[at + 2 : at + 4], "big") if have >= 4 else 0
    if length == 127:
        return size + 8 + int.from_bytes(data[at + 2 : at + 10], "big") if have >= 10 else 0
    return size + length


def check_first_byte(data: bytes | bytearray) -> None:
    """Refuse at once what cannot be a request.

    Raises: ClientError 400.
    """
    if data[0] not in _LETTERS:
        if data[0] == 0x16:  # the record type of a TLS ClientHello
            raise ClientError(400, "TLS on a plain HTTP port: use https only where a certificate is set")
        raise ClientError(400, f"not HTTP: {bytes(data[:64])!r}")
