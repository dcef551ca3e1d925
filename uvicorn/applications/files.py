"""The two files of WSGI: `wsgi.input`, and `wsgi.file_wrapper`.

Runs on: the consumer's thread, all of it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import IO, Any, Final, cast
from wsgiref.util import FileWrapper as _FileWrapper

__all__ = ["FileWrapper", "body_size", "open_body"]

_BLOCK: Final = 65536  # bytes; of a file on its way out


class FileWrapper(_FileWrapper):
    """A file in blocks of 64 KiB at least: frameworks suggest smaller ones (PEP 3333 allows that)."""

    def __init__(self, filelike: Any, blksize: int = _BLOCK) -> None:
        super().__init__(filelike, max(blksize, _BLOCK))


def body_size(message: Mapping[str, Any]) -> int | None:
    """Return the bytes of a request body, if all of it is here; else None."""
    channel = message["body_channel"]
    size: int = len(message["body"])
    if channel is None:
        return size
    rest: int | None = getattr(channel, "size", None)
    return None if rest is None else size + rest


def open_body(message: Mapping[str, Any]) -> IO[bytes]:
    """Return `wsgi.input`: the body as a file that ends where the body ends.

    Its methods block while a streamed body comes in. They raise ChannelClosed (an OSError) if the client leaves
    before the end, ReadTimeout, ServerStopping.
    """
    if message["body_channel"] is None:
        return io.BytesIO(message["body"])
    return cast("IO[bytes]", io.BufferedReader(_RawBody(message["body"], message["body_channel"]), _BLOCK))


class _RawBody(io.RawIOBase):
    """A body whose beginning is in memory, and the rest in its channel."""

    def __init__(self, beginning: bytes, channel: Any) -> None:
        self._left = memoryview(beginning)
        self._chunks = iter(channel)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer with what is there; wait only if nothing is; return 0 at the end."""
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = memoryview(chunk)
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size
