"""The rest of a request body that was collected before its consumer was called.

Theory of operation
-------------------
One thread at a time: the loop has made the channel and let go of the file before the consumer's thread reads.
"""

from __future__ import annotations

import os
from typing import IO, Any, Final

from uvicorn.bridge.chunks import BlockingReader
from uvicorn.errors import ChannelClosed

__all__ = ["CollectedBodyChannel"]

_PIECE: Final = 65536  # bytes that one `receive` reads from a file


class CollectedBodyChannel(BlockingReader):
    """The rest of a body that was collected before the consumer was called.

    Args:
        memory: the part that was kept in memory.
        file: the part that was written to a temporary file, or None; closed when it has been read.

    Attributes:
        size: bytes of what was collected.

    Yields: iteration gives the chunks, as bytes.
    Runs on: the consumer's thread. Blocks: on the disk only.
    """

    def __init__(self, memory: bytes, file: IO[bytes] | None) -> None:
        self.size = len(memory)
        self._memory = memory
        self._file = file
        self._is_over = False
        if file is not None:
            self.size += file.seek(0, os.SEEK_END)
            file.seek(0)

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def receive(self) -> dict[str, Any]:
        """Return the next chunk: {"content": bytes, "more_content": bool}.

        Raises: ChannelClosed after the last chunk; OSError if the disk fails.
        """
        if self._is_over:
            raise ChannelClosed("the body has been received")
        content, self._memory = self._memory, b""
        if not content and self._file is not None:
            content = self._file.read(_PIECE)
        self._is_over = self._file is None or not content
        if self._is_over and self._file is not None:
            self._file.close()
        return {"content": content, "more_content": not self._is_over}

    def unread(self) -> bytes:
        """Return what nobody has received yet; it can be received all the same. Raises: OSError if the disk fails."""
        if self._is_over or self._file is None:
            return self._memory
        at = self._file.tell()
        try:
            return self._memory + self._file.read()
        finally:
            self._file.seek(at)
