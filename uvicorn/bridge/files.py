"""What a reply says with `file`: one part of a file that is open.

Theory of operation
-------------------
A file is opened where `send` is called, so that what is wrong with it is raised on the consumer's own line. From there
on it is the server's: whoever lets go of the last reference to a part closes its descriptor. So no way out of a
response (the client left, the consumer raised, the worker stops) has to remember it, and no thread that still reads
finds the descriptor closed, or used for something else.

One thread at a time uses a part: the one that made it, then the loop, then a reader while it works for the loop
(`file_reader.py`).
"""

from __future__ import annotations

import errno
import io
import os
import resource
import stat
from typing import Any, Final

from uvicorn.errors import ChannelFull, ReplyError, ReplyTypeError, UvicornError
from uvicorn.wire.reply import shown

__all__ = ["FilePart", "FileShrank", "check_room", "drop_file", "has_room", "raw_file", "take_file"]

_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)  # or to open a FIFO would wait for somebody who writes
    | getattr(os, "O_NOCTTY", 0)
)
_NOWAIT: Final = getattr(os, "RWF_NOWAIT", 0)  # Linux 4.14
_LOOK: Final = 1048576  # bytes between two looks into the page cache: each costs the loop 2 microseconds; arbitrary
_STRIDE: Final = 262144  # bytes between two that a thread waits for; arbitrary
_scratch: Final = [bytearray(1)]
_MOST_WRAPPERS: Final = 4


class FileShrank(UvicornError):
    """A file is shorter than it was when it was opened."""


class FilePart:
    """A part of an open file, and how far it was sent. Closes the file when nobody has it any more.

    Args:
        descriptor: of the file, which is ours from here on; its own position is not used.
        name: how logs call it.

    Attributes:
        at: the offset of the next byte.
        left: how many bytes are still to be sent.
        warmed: so many of the next bytes a thread has had read into memory.
    """

    __slots__ = ("at", "descriptor", "left", "name", "warmed")

    def __init__(self, descriptor: int, name: str) -> None:
        self.descriptor = descriptor
        self.name = name
        self.at = self.left = self.warmed = 0

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<FilePart {self.name} {self.left} bytes from {self.at}>"

    def close(self) -> None:
        """Close the file."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            try:
                os.close(descriptor)
            except OSError:  # it was only read: nothing is lost
                return

    def cut(self, offset: int, count: int | None) -> None:
        """Choose the part.

        Args:
            count: None for all from the offset on.

        Raises: ReplyError if the file has no such part, or is none that can be sent: a FIFO, a socket, a device;
            IsADirectoryError.
        """
        status = os.fstat(self.descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), self.name)
        if not stat.S_ISREG(status.st_mode):
            raise ReplyError(f"the file {self.name} is no regular file: a FIFO, a socket and a device cannot be sent")
        size = status.st_size
        if offset > size or (count is not None and offset + count > size):
            raise ReplyError(
                f"the file {self.name} has {size} bytes, and no {'' if count is None else f'{count} '}from {offset} on"
            )
        self.at = offset
        self.left = size - offset if count is None else count

    def read(self, most: int) -> bytes:
        """Read the next bytes. Blocks: for the disk, unless `is_at_hand`.

        Raises: FileShrank, OSError.
        """
        data = os.pread(self.descriptor, min(most, self.left), self.at)
        if not data and self.left:
            raise self.shrank()
        self.take(len(data))
        return data

    def take(self, size: int) -> None:
        """Count bytes that were sent, or read."""
        self.at += size
        self.left -= size
        self.warmed = max(0, self.warmed - size)

    def shrank(self) -> FileShrank:
        """Return the error for a file that has become shorter."""
        return FileShrank(f"the file {self.name} became shorter: {self.left} bytes are missing")

    def is_at_hand(self, most: int) -> bool:
        """Whether the next bytes are in memory, so that to read them does not wait for the disk.

        Looked at in steps: what is read together is dropped together. False where the system does not tell.
        """
        if not _NOWAIT:
            return False
        end = self.at + min(most, self.left)
        try:
            for at in range(self.at, end, _LOOK):
                os.preadv(self.descriptor, _scratch, at, _NOWAIT)
            if end > self.at:
                os.preadv(self.descriptor, _scratch, end - 1, _NOWAIT)
        except OSError:  # EAGAIN: it is not. EOPNOTSUPP: this file system does not tell
            return False
        return True

    def look_ahead(self, most: int) -> int:
        """Return how many of the next bytes can be sent without waiting for the disk."""
        most = min(most, self.left)
        return most if self.is_at_hand(most) else min(most, self.warmed)

    def warm(self, most: int) -> None:
        """Have the next bytes read into memory. Runs on: a reader's thread. Blocks: for the disk.

        Raises: OSError.
        """
        size = min(most, self.left)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self.descriptor, self.at, size, os.POSIX_FADV_WILLNEED)  # all of it at once
        for at in range(self.at, self.at + size, _STRIDE):
            os.pread(self.descriptor, 1, at)
        if size:
            os.pread(self.descriptor, 1, self.at + size - 1)
        self.warmed = size


def take_file(value: Any) -> FilePart:
    """Open what a reply has as `file`, or take it over if it is open; it is closed if an error is raised.

    An open file is closed at once, and what is sent has a descriptor of its own: what the consumer does with the file
    after `send`, as at the end of a `with`, does no harm.

    Args:
        value: a path (str, bytes or PathLike); a binary file that is open, or its descriptor; or (one of these,
            offset, count). An offset of None is 0, or where an open file stands; a count of None is all from there on.

    Raises: OSError as `open` does; IsADirectoryError; ReplyError, ReplyTypeError.
    Runs on: any thread. Blocks: for the disk, to open the file.
    """
    source, offset, count = _unpacked(value)
    part: FilePart | None = None
    start = 0
    try:
        _check_number("offset", offset)
        _check_number("count", count)
        if type(source) is FilePart:  # of our own
            return source
        if type(source) is int:
            part = FilePart(source, f"descriptor {source}")
            if offset is None and stat.S_ISREG(os.fstat(source).st_mode):
                start = os.lseek(source, 0, os.SEEK_CUR)
        elif isinstance(source, (str, bytes, os.PathLike)):
            part = _opened(source)
        else:
            part, start = _taken_over(source)
        part.cut(start if offset is None else offset, count)
    except BaseException:
        if part is not None:
            part.close()
        else:
            drop_file(source)
        raise
    return part


def has_room(descriptor: int) -> bool:
    """Whether a descriptor that was just made may stay open for a client: enough are left for all others.

    The system gives the lowest number that is free. A client over HTTP/2 may ask for a hundred files at once, and take
    none of them: the last quarter is for connections, and for what applications open.
    """
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most == resource.RLIM_INFINITY or descriptor < most - most // 4


def check_room(descriptor: int) -> None:
    """Raise ChannelFull, for which a request gets 503, if a file must not stay open for it."""
    if not has_room(descriptor):
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        raise ChannelFull(
            f"three quarters of the {most} files are open that this process may open: raise that limit ('ulimit -n', "
            "LimitNOFILE in a unit of systemd)"
        )


def drop_file(value: Any) -> None:
    """Close what a reply has as `file`, if it is open: the reply is not sent."""
    source = value[0] if type(value) is tuple and value else value
    if type(source) is int:
        FilePart(source, "").close()
    close = getattr(source, "close", None)
    if close is not None:
        close()


def raw_file(file: Any) -> Any | None:
    """Return the file object whose descriptor has the very bytes that `file` reads; None if there is none.

    What decompresses (`gzip`) has a descriptor, too, of other bytes. Wrappers of `tempfile` and Django are looked into.
    """
    for _ in range(_MOST_WRAPPERS):
        if isinstance(file, io.FileIO):
            return None if file.closed else file
        if isinstance(file, (io.BufferedReader, io.BufferedRandom)):
            return file if isinstance(file.raw, io.FileIO) and not file.closed else None
        file = getattr(file, "file", None)
    return None


def _unpacked(value: Any) -> tuple[Any, Any, Any]:
    if type(value) is not tuple:
        return value, None, None
    if len(value) != 3:
        drop_file(value)
        raise ReplyTypeError(f"file must be a path, an open file, or (one of both, offset, count), not {shown(value)}")
    return value


def _check_number(what: str, number: Any) -> None:
    if number is not None and (type(number) is not int or number < 0):
        raise ReplyTypeError(f"the {what} of a file must be a number of bytes, not {shown(number)}")


def _opened(path: Any) -> FilePart:
    path = os.fspath(path)
    try:
        return FilePart(os.open(path, _FLAGS), os.fsdecode(path))
    except ValueError as error:  # NUL in it
        raise ReplyError(f"{shown(path)} is no path: {error}") from None


def _taken_over(file: Any) -> tuple[FilePart, int]:
    raw = raw_file(file)
    if raw is None:
        raise ReplyTypeError(f"file must be a path, or an open binary file with a descriptor, not {shown(file)}")
    if raw.writable():
        raw.flush()
    part = FilePart(os.dup(raw.fileno()), str(raw.name))
    try:
        start = raw.tell() if raw.seekable() else 0
        file.close()
    except BaseException:
        part.close()
        raise
    return part, start
