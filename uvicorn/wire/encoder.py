"""From a checked reply to the bytes of a response. Sans-IO; the status lines are kept for a second, with their date.

Everything that is the same for many responses is made once: the status line with the
`server` and `date` fields once a second, a `content-length` line of a small body once
per process. A small response is one `bytes.join`.

Spec: RFC 9112 sections 4 (status line), 6 (framing), 7.1 (chunked), 9.3 (persistence).
"""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from uvicorn.wire.reply import Fields

__all__ = ["CONTINUE", "Encoder", "chunk", "content_length", "error_page", "last_chunk"]

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_FEW: Final = 4096
_LENGTHS: Final = [b""] * _FEW  # filled as they are met: all of them would be 250 KiB of each process
_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}


class Encoder:
    """What encodes the heads of a worker's responses.

    Args:
        server_header: the value of the `server` field; empty for none.
        headers: further fields of each response, (name, value); they are printable ASCII.
        sends_date: whether there is a `date` field.
    """

    def __init__(
        self, server_header: str = "uvicorn", headers: Iterable[tuple[str, str]] = (), sends_date: bool = True
    ) -> None:
        self._server = b"server: %b\r\n" % server_header.encode("latin-1") if server_header else b""
        self._more = b"".join(b"%b: %b\r\n" % (name.encode("ascii"), value.encode("ascii")) for name, value in headers)
        self._sends_date = sends_date
        self._date = b""
        #: status -> status line, server and date; emptied once a second by `set_time`.
        self.prefixes: dict[int, bytes] = {}
        self.set_time(0.0)

    def set_time(self, now: float) -> None:
        """Set the time of the `date` field, in seconds since the epoch."""
        if self._sends_date:
            self._date = b"date: %b\r\n" % formatdate(now, usegmt=True).encode("ascii")
        self.prefixes.clear()

    def prefix(self, status: int) -> bytes:
        """Return the status line with the fields of each response, made now."""
        prefix = self.prefixes[status] = _status_line(status) + self._server + self._date + self._more
        return prefix

    def whole(self, status: int, fields: Fields, content: bytes) -> bytes:
        """Return a complete response on a connection that is kept: by far the most frequent one.

        Args:
            fields: simple ones; a content-length in them is that of the content.
        """
        return b"".join(
            (
                self.prefixes.get(status) or self.prefix(status),
                fields.block,
                content_length(len(content)) if fields.content_length is None else b"",
                b"\r\n",
                content,
            )
        )

    def head(
        self,
        status: int,
        fields: Fields,
        length: int | None,
        connection: bytes = b"",
    ) -> bytes:
        """Return the head of a response, its empty line included.

        Args:
            length: the content-length to send if the consumer sent none; -1 for chunked
                transfer coding; None for neither.
            connection: a whole `connection` line, or nothing.
        """
        if fields.has_date or fields.has_server:
            start = _status_line(status)
            start += b"" if fields.has_server else self._server
            start += b"" if fields.has_date else self._date
            start += self._more
        else:
            start = self.prefixes.get(status) or self.prefix(status)
        if length is None or fields.content_length is not None:
            framing = b""
        elif length < 0:
            framing = b"transfer-encoding: chunked\r\n"
        else:
            framing = content_length(length)
        if status == 204 and fields.content_length is not None:  # must not have one: RFC 9110 section 8.6
            fields = fields.unmeasured()
        return b"".join((start, fields.block, framing, connection, b"\r\n"))


def content_length(length: int) -> bytes:
    """Return a `content-length` line."""
    if length >= _FEW:
        return b"content-length: %d\r\n" % length
    line = _LENGTHS[length]
    if not line:
        line = _LENGTHS[length] = b"content-length: %d\r\n" % length
    return line


def last_chunk(trailers: bytes) -> bytes:
    """Return the last chunk of the chunked transfer coding, with trailers: whole lines, or nothing."""
    return b"0\r\n%b\r\n" % trailers


def chunk(content: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the parts of one chunk of the chunked transfer coding; content must not be empty."""
    return b"%x\r\n" % len(content), content, b"\r\n"


def error_page(status: int, detail: str = "") -> tuple[Fields, bytes]:
    """Return the fields and the content of a response that the server itself makes.

    Args:
        detail: a text to show, for development only; nothing of the request goes in.
    """
    text = f"{status} {_REASONS.get(status, 'Error')}\n"
    if detail:
        text += f"\n{detail}"
    return Fields(b"content-type: text/plain; charset=utf-8\r\n"), text.encode("utf-8", "backslashreplace")


def _status_line(status: int) -> bytes:
    return b"HTTP/1.1 %d %b\r\n" % (status, _REASONS.get(status, "").encode("ascii"))
