"""Collect a large body: in memory first, past that in a temporary file.

Theory of operation
-------------------
The loop feeds. Above `memory_size` bytes the collected block goes to a file, written by a
thread of its own that all spools of a worker share, so that a slow disk never stops the loop.
While more than one block waits for the disk, reading from the client is held. One writer thread and
blocks in order: the file needs no lock, and is read only after the last block is written.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Final

from uvicorn.bridge.collected import CollectedBodyChannel
from uvicorn.bridge.inbox import BodySource
from uvicorn.bridge.outbox import Outbox

__all__ = ["Spool", "SpoolWriter"]

_MEMORY: Final = 524288  # bytes; as Waitress; docs/consumers.md, "Reading a large body"


class SpoolWriter:
    """The thread that writes temporary files; started with the first large body.

    Args:
        directory: where the files are made (`tmp_upload_dir`), or None for the system's.
    """

    def __init__(self, outbox: Outbox, directory: str | None) -> None:
        self._outbox = outbox
        self._directory = directory
        self._executor = ThreadPoolExecutor(1, "uvicorn-spool")

    def write(self, spool: Spool, block: bytes) -> None:
        """Append a block to the spool's file; `spool.on_written` follows on the loop."""
        try:
            self._executor.submit(self._write, spool, block)
        except RuntimeError:
            pass  # stopped: nobody waits for this body any more

    def close(self, spool: Spool) -> None:
        """Close the spool's file, behind what is being written."""
        try:
            self._executor.submit(spool.close)
        except RuntimeError:  # stopped: nothing is being written any more
            spool.close()

    def stop(self) -> None:
        """Let the thread end when it has written what it has."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _write(self, spool: Spool, block: bytes) -> None:
        try:
            if spool.file is None:
                spool.file = tempfile.TemporaryFile(prefix="uvicorn-body-", dir=self._directory)  # noqa: SIM115
            spool.file.write(block)
            spool.file.flush()  # or a full disk would be found out when the consumer reads
        except Exception as error:
            self._outbox.put(spool.on_written, error)
        else:
            self._outbox.put(spool.on_written, None)


class Spool:
    """One body that is collected. All methods run on: the loop.

    Args:
        on_done: called with None when everything is collected, or with what went wrong.
    """

    def __init__(
        self,
        writer: SpoolWriter,
        source: BodySource,
        on_done: Callable[[Exception | None], None],
        memory_size: int = _MEMORY,
    ) -> None:
        self.file: IO[bytes] | None = None
        self._writer = writer
        self._source = source
        self._on_done: Callable[[Exception | None], None] | None = on_done
        self._memory_size = memory_size
        self._block = bytearray()
        self._unwritten = 0  # blocks on their way to the file
        self._uses_file = False
        self._is_ended = False

    def __del__(self) -> None:
        self.close()

    def feed(self, data: bytes) -> None:
        """Add what the client sent."""
        self._block += data
        if len(self._block) > self._memory_size:
            self._flush()
            if self._unwritten > 1:
                self._source.hold()

    def end(self) -> None:
        """Mark the end of the body; `on_done` follows, at once if nothing waits for the disk."""
        self._is_ended = True
        if self._uses_file and self._block:
            self._flush()
        if not self._unwritten:
            self._tell(None)

    def on_written(self, error: Exception | None) -> None:
        """A block is in the file, or cannot be written."""
        self._unwritten -= 1
        if error is not None:
            self._tell(error)
            return
        if self._unwritten <= 1:
            self._source.release()
        if self._is_ended and not self._unwritten:
            self._tell(None)

    def abandon(self) -> None:
        """Drop what was collected: nobody will read it."""
        self._on_done = None  # blocks on their way must not report
        self._block = bytearray()
        if self._uses_file:
            self._writer.close(self)

    def close(self) -> None:
        """Close the file. Runs on: the writer's thread."""
        if self.file is not None:
            self.file.close()

    def channel(self) -> CollectedBodyChannel:
        """Return a channel that reads what was collected, and owns the file from here on."""
        file, self.file = self.file, None
        return CollectedBodyChannel(bytes(self._block), file)

    def _flush(self) -> None:
        self._uses_file = True
        self._unwritten += 1
        self._writer.write(self, bytes(self._block))
        self._block = bytearray()

    def _tell(self, error: Exception | None) -> None:
        if self._on_done is not None:
            self._on_done(error)
