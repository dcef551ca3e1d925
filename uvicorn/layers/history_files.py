"""Histories of groups, as the processes of a local layer keep them: in files that they share.

Theory of operation
-------------------
Loop thread only. The processes of a local layer have a directory in common (`local_place.py`). Each group with a
history has a file there: a head, and the latest messages one behind the other. Whoever sends to the group appends under
the file's lock (`flock`), and that gives the offset: so there is one order for all processes. Nobody hands anything
over when it leaves, and who is killed takes nothing with it: the kernel has what was written, and frees the lock.

What is kept is from `start` to `end`, as the head says. Bytes behind `end` are nobody's: a process that was killed
while it appended leaves some. Nothing between is ever changed, so readers take no lock; a head that is written at that
moment is told by its checksum. When much lies before `start` the file is made anew beside, and takes the old one's
name; who had opened the old one sees that it has no name any more.

Nobody waits for a lock on the loop: `append` raises `BlockingIOError`, and is called again. No disk is waited for
either: what is written is in the kernel's memory, and need not outlive that.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from uvicorn.layers.history import History, Kept, Position, Recalled
from uvicorn.layers.local_place import HISTORY_ENDING, PART_ENDING

__all__ = ["FileHistories"]

_HEAD: Final = struct.Struct("!4s16sQQQQdd")  # and a checksum of that
_CHECK: Final = struct.Struct("!I")
_HEAD_BYTES: Final = _HEAD.size + _CHECK.size
_RECORD: Final = struct.Struct("!QdI")  # offset, when, bytes
_MAGIC: Final = b"uvh1"
_ATTEMPTS: Final = 100  # at what others are doing at the same moment
_SLACK_BYTES: Final = 65536  # that may lie before the first message
_AHEAD_SECONDS: Final = 60.0
_FORGET_EVERY: Final = 30  # ticks
_PART_SECONDS: Final = 60.0  # after which a file that was not finished is nobody's


class _Head(NamedTuple):
    """What a file's head says.

    Attributes:
        last: the latest offset.
        kept: how many messages are from `start` to `end`.
        used: when it was used last; it is forgotten `seconds` after that.
    """

    epoch: str
    last: int
    kept: int
    start: int
    end: int
    used: float
    seconds: float

    def is_over(self, now: float) -> bool:
        # A time to come is that of another process just now, or from before the machine was started.
        return not now - self.seconds <= self.used <= now + _AHEAD_SECONDS


class FileHistories:
    """Histories in the directory of a local layer.

    Args:
        path: of the directory.
        clock: that of all processes of the machine.
    """

    def __init__(self, path: str, clock: Any = time.monotonic) -> None:
        self._folder = path
        self._clock = clock
        self._ticks = 0

    def append(self, group: str, content: bytes, history: History) -> Position:
        """Keep a message, under the file's lock."""
        path, now = self._path(group), self._clock()
        with self._locked(path, history) as (fd, head):
            start, kept, end = head.start, head.kept, head.end
            offset = head.last + 1
            _write(fd, _RECORD.pack(offset, now, len(content)) + content, end)
            end, kept = end + _RECORD.size + len(content), kept + 1
            while kept > 1:
                _, sent, size = _RECORD.unpack(os.pread(fd, _RECORD.size, start))
                is_large = end - start - kept * _RECORD.size > history.bytes
                if kept <= history.messages and sent >= now - history.seconds and not is_large:
                    break
                start, kept = start + _RECORD.size + size, kept - 1
            changed = _Head(head.epoch, offset, kept, start, end, now, history.seconds)
            if start > _SLACK_BYTES and start > end - start:
                data = os.pread(fd, end - start, start)
                self._make(path, changed._replace(start=_HEAD_BYTES, end=_HEAD_BYTES + len(data)), data, replace=True)
            else:
                _write(fd, _packed(changed), 0)
        return Position(head.epoch, offset)

    def recall(self, group: str, history: History, known: Position | None) -> Recalled:
        """Read what is kept; without a lock, but for the note that it is used."""
        path, now = self._path(group), self._clock()
        for _ in range(_ATTEMPTS):
            fd = self._opened(path, history)
            try:
                head = _head_of(fd)
                if head is not None and not head.is_over(now):
                    data = os.pread(fd, head.end - head.start, head.start)
                    self._touch(fd, history)
                    return _recalled(head, data, history, known, now)
            finally:
                os.close(fd)
            self._remove(path, now)
        raise BlockingIOError("the history of the group is written all the time")

    def tick(self) -> None:
        """Remove the files of groups that nobody uses any more."""
        self._ticks += 1
        if self._ticks % _FORGET_EVERY == 0:
            self.forget()

    def forget(self) -> None:
        """Remove what is over."""
        now = self._clock()
        try:
            names = os.listdir(self._folder)
        except OSError:
            return
        for name in names:
            path = os.path.join(self._folder, name)
            if name.endswith(HISTORY_ENDING):
                self._remove(path, now)
            elif name.endswith(PART_ENDING) and _age(path) > _PART_SECONDS:
                _unlink(path)

    def _path(self, group: str) -> str:
        import hashlib  # 1 MB that a process without a history need not have

        # By a digest, since file systems may take "Room" and "room" for the same.
        digest = hashlib.sha256(group.encode()).hexdigest()[:32]
        return os.path.join(self._folder, digest + HISTORY_ENDING)

    @contextmanager
    def _locked(self, path: str, history: History) -> Iterator[tuple[int, _Head]]:
        """Open a file, and lock it. Raises: BlockingIOError, OSError."""
        for _ in range(_ATTEMPTS):
            fd = self._opened(path, history)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(fd, path):  # or it was removed or replaced just now
                    head = _head_of(fd)
                    if head is not None and not head.is_over(self._clock()):
                        yield fd, head
                        return
                    _unlink(path)  # it is forgotten, or no file of ours
            finally:
                os.close(fd)
        raise BlockingIOError("the history of the group is written all the time")

    def _opened(self, path: str, history: History) -> int:
        """Open a file; make it if there is none: then an epoch begins."""
        for _ in range(_ATTEMPTS):
            try:
                return os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                head = _Head(os.urandom(8).hex(), 0, 0, _HEAD_BYTES, _HEAD_BYTES, self._clock(), history.seconds)
                self._make(path, head, b"", replace=False)
        raise BlockingIOError("the history of the group is made and removed all the time")

    def _make(self, path: str, head: _Head, data: bytes, replace: bool) -> None:
        """Make a file; with `replace` in the place of another one, else only if there is none."""
        part = os.path.join(self._folder, os.urandom(8).hex() + PART_ENDING)
        fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _write(fd, _packed(head) + data, 0)
            if replace:
                os.rename(part, path)
                return
            try:
                os.link(part, path)
            except FileExistsError:  # another process was faster
                return
        finally:
            os.close(fd)
            _unlink(part)

    def _touch(self, fd: int, history: History) -> None:
        """Note that it is used; if another process is about the file, that does."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        head = _head_of(fd)
        if head is not None:
            seconds = max(head.seconds, history.seconds)
            _write(fd, _packed(head._replace(used=self._clock(), seconds=seconds)), 0)

    def _remove(self, path: str, now: float) -> None:
        """Remove a file if it is over."""
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            head = _head_of(fd)
            if (head is None or head.is_over(now)) and _is_at(fd, path):
                _unlink(path)
        except OSError:
            pass  # somebody uses it
        finally:
            os.close(fd)


def _recalled(head: _Head, data: bytes, history: History, known: Position | None, now: float) -> Recalled:
    after = known.offset if known is not None and known.epoch == head.epoch else 0
    kept, at = [], 0
    while at + _RECORD.size <= len(data):
        offset, sent, size = _RECORD.unpack_from(data, at)
        at += _RECORD.size + size
        if offset > after and sent >= now - history.seconds:
            kept.append(Kept(offset, max(0.0, now - sent), data[at - size : at], size))
    return Recalled(head.epoch, head.last, kept[-history.messages :])


def _packed(head: _Head) -> bytes:
    epoch, *numbers = head
    data = _HEAD.pack(_MAGIC, epoch.encode(), *numbers)
    return data + _CHECK.pack(zlib.crc32(data))


def _head_of(fd: int) -> _Head | None:
    """Read the head of a file; None if it is none of ours."""
    for _ in range(_ATTEMPTS):
        data = os.pread(fd, _HEAD_BYTES, 0)
        if len(data) == _HEAD_BYTES and _CHECK.unpack(data[_HEAD.size :])[0] == zlib.crc32(data[: _HEAD.size]):
            magic, epoch, *numbers = _HEAD.unpack(data[: _HEAD.size])
            if magic == _MAGIC:
                return _Head(epoch.decode("ascii"), *numbers)
    return None


def _write(fd: int, data: bytes, at: int) -> None:
    """Write all of it. Raises: OSError if there is no room."""
    view = memoryview(data)
    while view:
        done = os.pwrite(fd, view, at)
        view, at = view[done:], at + done


def _is_at(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _age(path: str) -> float:
    try:
        return time.time() - os.stat(path).st_mtime
    except OSError:
        return 0.0


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
