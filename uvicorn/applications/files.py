"""The two files of WSGI: `wsgi.input`, and `wsgi.file_wrapper`. Runs on: the consumer's thread."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Mapping
from typing import IO, Any, Final, cast
from wsgiref.util import FileWrapper as _FileWrapper

from uvicorn.bridge.files import raw_file

__all__ = ["BlockWrapper", "FileWrapper", "body_size", "open_body"]

_BLOCK: Final = 65536  # bytes; of a file on its way out


class BlockWrapper(_FileWrapper):
    """A file in blocks of 64 KiB at least: frameworks suggest smaller ones (PEP 3333 allows that)."""

    def __init__(self, filelike: Any, blksize: int = _BLOCK) -> None:
        super().__init__(filelike, max(blksize, _BLOCK))


class FileWrapper(BlockWrapper):
    """The same, for who can send a file as such."""

    def opened(self, most: int | None) -> tuple[int, int, int] | None:
        """Return what a reply can have as `file`: a descriptor of its own, since the application closes the file.

        Args:
            most: bytes that are wanted; None for all.

        Returns: None if it is no regular file, or one whose bytes are not those of its descriptor: iterate. Likewise
            for one of size 0, which tells nothing of what can be read: those of /proc have no other size.
        """
        raw = raw_file(self.filelike)
        if raw is None:
            return None
        if raw.writable():
            raw.flush()
        status = os.fstat(raw.fileno())
        if not stat.S_ISREG(status.st_mode) or not status.st_size:
            return None
        start = min(raw.tell(), status.st_size)
        left = status.st_size - start
        return os.dup(raw.fileno()), start, left if most is None else min(left, most)


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
