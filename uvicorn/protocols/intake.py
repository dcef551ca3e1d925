"""Cut what a client sends into heads and bodies, at exact boundaries. Sans-IO.

httptools can neither stop between two requests nor say where one ended, and it has no limits. So we
find the boundaries ourselves and feed it one piece at a time: a complete head, or a piece of a body
that ends where the body ends at the latest. Requests behind it wait as bytes, not as objects.

A head ends with the first empty line. A body with a content-length has a known end. A chunked body
ends with an empty line too, so it is fed up to each CRLF CRLF, and httptools says if that was its end.
"""

from __future__ import annotations

from typing import Final

from uvicorn.errors import ClientError
from uvicorn.settings import Limits

__all__ = ["ChunkedCutter", "HeadBuffer", "check_first_byte"]

_END: Final = b"\r\n\r\n"
_CR: Final = 13
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
    """Cut a chunked body at each place where it may end."""

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = b"\r\n"  # the last bytes of what was cut: at first, of the head

    def cut(self, data: bytes) -> int:
        """Return how many bytes to feed before looking whether the body has ended."""
        window = self._tail + data[:3]
        at = window.find(_END)
        if at >= 0:
            size = at + 4 - len(self._tail)
        else:
            at = data.find(_END)
            size = at + 4 if at >= 0 else len(data)
        self._tail = (self._tail + data[:size])[-3:] if size < 3 else data[size - 3 : size]
        return size


def check_first_byte(data: bytes | bytearray) -> None:
    """Refuse at once what cannot be a request.

    Raises: ClientError 400.
    """
    if data[0] not in _LETTERS:
        if data[0] == 0x16:  # the record type of a TLS ClientHello
            raise ClientError(400, "TLS on a plain HTTP port: use https only where a certificate is set")
        raise ClientError(400, f"not HTTP: {bytes(data[:64])!r}")
