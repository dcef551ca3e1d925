"""Cut what a client sends into heads, and into the frames of a socket, at exact boundaries. Sans-IO.

httptools can neither stop between two requests nor say where one ended, and it has no limits. So we find the
boundaries ourselves, and it sees nothing but heads, one complete one at a time (but for `RequestParser.lone_head`).
Requests behind it wait as bytes, not as objects. Bodies are read in `bodies.py`.

**One verdict.** The same bytes get the same answer, however the network has cut them. So whatever is refused before it
is complete is refused for its first byte too many, and a head that came whole is looked at in the same order
(`check_head`).

**Linear.** No byte is looked at again because more came: what a client sends one byte at a time costs no more than
that many calls.

Spec: RFC 9112 section 2.2.
"""

from __future__ import annotations

from typing import Final

from uvicorn.errors import ClientError
from uvicorn.wire.limits import Limits

__all__ = ["FrameCutter", "HeadBuffer", "check_first_byte", "check_head"]

_END: Final = b"\r\n\r\n"
_CRLF: Final = b"\r\n"
_LF: Final = b"\n"
_CR: Final = 13
_LETTERS: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

_LONGEST_FRAME_HEAD: Final = 10  # bytes, without the mask


class HeadBuffer:
    """A head that comes in pieces; it is refused as soon as that is certain.

    Attributes:
        data: what has come of a head that is not complete.
        end: where in the bytes that were given last the next ones begin.
    """

    __slots__ = ("_fields", "_limits", "_line_start", "_scanned", "data", "end")

    def __init__(self, limits: Limits) -> None:
        self.data = bytearray()
        self.end = 0
        self._limits = limits
        self._line_start = 0  # of the line that is not complete yet
        self._scanned = 0  # bytes in which its end was looked for
        self._fields = -1  # complete lines after the request line

    def take(self, data: bytes, at: int) -> bytes | None:
        """Take what came from `at` on; return the head if it is complete.

        One that came whole is not checked: that is for whoever parses it.

        Raises: ClientError, 400, 414 or 431.
        """
        buffer = self.data
        if buffer == b"\r":  # the first half of an empty line
            buffer.clear()
            data, at, self.end = b"\r" + data[at : at + 1], 0, at + 1
            if data == _CRLF:
                return None
            raise _not_http(data)
        if buffer:
            seam = bytes(buffer[-3:])
            found = (seam + data[at : at + 3]).find(_END)
            end = at + found + 4 - len(seam) if found >= 0 else _end_of_head(data, at)
        else:
            while data.startswith(_CRLF, at):  # RFC 9112 section 2.2: empty lines before a request line
                at += 2
            self.end = len(data)
            if at == self.end:
                return None
            if data[at] == _CR and at + 1 == self.end:
                buffer += b"\r"
                return None
            check_first_byte(data[at : at + 64])
            end = _end_of_head(data, at)
            if end:
                self.end = end
                return data[at:end]
        self.end = end or len(data)
        buffer += data[at : self.end]
        if not end:
            self._check_lines(len(buffer))
            return None
        self._check_lines(len(buffer) - 1)
        head = bytes(buffer)
        self.data = bytearray()
        self._line_start = self._scanned = 0
        self._fields = -1
        return head

    def check(self, head: bytes) -> None:
        """Check a complete head, as if its bytes had come one by one.

        Raises: ClientError, 400, 414 or 431.
        """
        check_first_byte(head[:64])
        self.data += head
        self._check_lines(len(head) - 1)

    def _check_lines(self, end: int) -> None:
        """Check what has come, in the order in which it came: a line before its end, and then its end."""
        buffer, most_fields = self.data, self._limits.request_fields
        while (lf := buffer.find(_LF, self._scanned, end)) >= 0:
            start = self._line_start
            self._check_length(start, lf)
            if lf == start or buffer[lf - 1] != _CR:
                raise ClientError(400, "a line ends with LF alone")
            self._check_length(start, lf + 1)
            self._line_start = self._scanned = lf + 1
            self._fields += 1
            if self._fields > most_fields:
                raise ClientError(431, "too many header fields")
        self._scanned = end
        self._check_length(self._line_start, end)

    def _check_length(self, start: int, end: int) -> None:
        """Check the part of a line from `start` to `end`: what is refused is what is passed first."""
        limits = self._limits
        limit = limits.request_field_size if start else limits.request_line and limits.request_line + 2
        longest = limits.longest_head
        if limit and end - start > limit and start + limit <= longest:
            raise ClientError(431, "header field too large") if start else ClientError(414, "request line too long")
        if end > longest:
            raise ClientError(431, "head too large")


class FrameCutter:
    """What finds the ends of a socket's frames, so that they can be taken one by one (RFC 6455 section 5.2).

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


def check_head(head: bytes, limits: Limits) -> None:
    """Check the lines of a complete head: how they end, how long they are, and how many.

    Raises: ClientError, 400, 414 or 431.
    """
    HeadBuffer(limits).check(head)


def check_first_byte(data: bytes) -> None:
    """Refuse at once what cannot be a request.

    Raises: ClientError 400.
    """
    if data[0] not in _LETTERS:
        raise _not_http(data)


def _end_of_head(data: bytes, at: int) -> int:
    """Return where the first empty line from `at` on ends, or 0."""
    found = data.find(_END, at)
    return found + 4 if found >= 0 else 0


def _not_http(data: bytes) -> ClientError:
    if data[0] == 0x16:  # the record type of a TLS ClientHello
        return ClientError(400, "TLS on a plain HTTP port: use https only where a certificate is set")
    return ClientError(400, f"not HTTP: {data[:64]!r}")
