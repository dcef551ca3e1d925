"""A folder whose files can be opened, and nothing else: no name, link or race leads out of it.

Names are resolved by the kernel, from an open folder on (`openat2`, Linux 5.6): it refuses what leaves the folder
while it resolves, so nobody can swap a link between a check and the use. Links that stay inside are followed: that is
how Kubernetes mounts its volumes, and how releases are switched. Where there is no openat2, one component after the
other is opened without following links, and no link works at all.

What is no plain file is not opened: a FIFO would wait for its writer, and a device may do something when it is opened.

*Not blocking the loop.* On file systems of this machine the kernel can be asked for what it has in memory, and for
nothing else (`RESOLVE_CACHED`, Linux 5.12; `RWF_NOWAIT`). So the loop tries by itself, and `NotCached` says that a
thread has to. A folder on a network is always for threads: even `stat` may wait there, for ever if the network is gone.

Runs on: any thread.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys
from functools import cache
from time import monotonic
from typing import Any, Final, TypeAlias

from uvicorn.applications.local_disks import is_local

__all__ = ["Facts", "Folder", "NotCached", "NotFound", "facts_of", "read"]

_OPENAT2: Final = 437  # the same on all architectures but Alpha
_NO_MAGICLINKS, _BENEATH, _CACHED = 0x02, 0x08, 0x20
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_LOOK: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC
_RENEWED_SECONDS: Final = 1.0
_TRIES: Final = 16  # arbitrary: of a name with a ".." in a link, while something is renamed
#: what means that there is no such file, or none that may be read
_NOT_FOUND: Final = frozenset({
    errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EINVAL,
    errno.ENXIO, errno.ENODEV, errno.EISDIR, errno.EOPNOTSUPP, errno.ESTALE, errno.EMLINK,
})  # fmt: skip


Facts: TypeAlias = "tuple[int, int, int, int, int]"


class NotFound(Exception):
    """There is no plain file of this name in the folder, or none that may be read."""


class NotCached(Exception):
    """The disk would have to be asked."""


class _Root:
    """An open folder. It is closed when nobody uses it any more: its number must not become another's meanwhile."""

    def __init__(self, path: str) -> None:
        self.fd = -1
        self.fd = os.open(path, _LOOK | os.O_DIRECTORY)
        found = os.fstat(self.fd)
        self.identity = (found.st_dev, found.st_ino)
        self.device = found.st_dev

    def __del__(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)


class Folder:
    """A folder, by its path.

    Args:
        path: an absolute path. It may be a link, and may lead to another folder later: `renew` takes that one.

    Attributes:
        is_local: it is on a file system of this machine, which answers at once what it has in memory.
    """

    def __init__(self, path: str) -> None:
        self.path: Final = path
        self.is_local = False
        self._root: _Root | None = None
        self._renewed_at = 0.0

    def __repr__(self) -> str:
        return f"<Folder {self.path}>"

    def renew(self) -> None:
        """Look once a second at whether the path leads to another folder, and take that. Blocks: on the disk.

        Raises: NotFound if there is no folder.
        """
        root = self._root
        if root is not None and monotonic() - self._renewed_at < _RENEWED_SECONDS:
            return
        try:
            found = os.stat(self.path)
            if root is None or root.identity != (found.st_dev, found.st_ino):
                self._root = _Root(self.path)
                self.is_local = is_local(self.path)
        except OSError as error:
            self._root = None
            raise _told(error) from None
        self._renewed_at = monotonic()

    def is_same(self, name: bytes, facts: Facts, only_cached: bool = True) -> bool:
        """Whether a name still leads to the file of which these facts are.

        It may be another name for it by now, outside of the folder: nothing else is told here, and nothing is opened.

        Args:
            only_cached: say False where this would have to wait for a network, or may have to.
        """
        root = self._root
        if root is None or (only_cached and (not self.is_local or facts[0] != root.device)):
            return False
        try:
            return facts_of(os.stat(name, dir_fd=root.fd)) == facts
        except OSError:
            return False

    def open(self, name: bytes, only_cached: bool = False) -> tuple[int, os.stat_result]:
        """Open a plain file for reading.

        Args:
            name: of components that are separated by single slashes, none of them "..".
            only_cached: do nothing that may wait for a disk.

        Returns: a file descriptor, and what the system says of the file.
        Raises: NotFound; NotCached; OSError for what is no matter of the file, as too many open files.
        """
        if b"\0" in name:  # the kernel would see the name end there
            raise NotFound(name)
        root = self._opened()
        if only_cached and (not self.is_local or not _has_cached()):
            raise NotCached
        open_in = _open_beneath if _has_openat2() else _open_by_components
        try:
            fd = open_in(root.fd, name, only_cached)
        except OSError as error:
            raise _told(error) from None
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or (only_cached and found.st_dev != root.device):
            os.close(fd)
            raise NotCached if stat.S_ISREG(found.st_mode) else NotFound(name)
        return fd, found

    def _opened(self) -> _Root:
        if self._root is None:
            self.renew()
        root = self._root
        if root is None:  # another thread has found it gone
            raise NotFound(self.path)
        return root


def facts_of(found: os.stat_result) -> Facts:
    """Return what is different whenever a file is another one, or was written to."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def read(fd: int, size: int, only_cached: bool = False) -> bytes:
    """Return the first bytes of a file.

    Raises: NotCached; OSError.
    """
    if not only_cached:
        parts, at = [], 0
        while at < size and (part := os.pread(fd, size - at, at)):
            parts.append(part)
            at += len(part)
        return b"".join(parts)
    if not hasattr(os, "RWF_NOWAIT"):
        raise NotCached
    buffer = bytearray(size)
    try:
        count = os.preadv(fd, [buffer], 0, os.RWF_NOWAIT) if size else 0
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL):
            raise NotCached from None
        raise
    if count < size:  # the rest is not in memory; or the file is shorter now, and a thread will see that
        raise NotCached
    return bytes(buffer)


class _How(ctypes.Structure):
    """`struct open_how` of openat2(2)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


@cache
def _system(keeps_interpreter: bool) -> Any:
    """Return the C library, called with or without the interpreter's lock.

    What does not wait keeps it: a thread that computes would have it for a whole switch interval.
    """
    library: Any = (ctypes.PyDLL if keeps_interpreter else ctypes.CDLL)(None, use_errno=True)
    return library.syscall


def _openat2(folder: int, name: bytes, flags: int, resolve: int) -> int:
    how = _How(flags, 0, resolve)
    call = _system(bool(resolve & _CACHED))
    found: int = call(_OPENAT2, folder, name, ctypes.byref(how), ctypes.sizeof(how))
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return found


@cache
def _has_openat2() -> bool:
    """Whether the kernel has it; a sandbox may say EPERM instead of ENOSYS."""
    return _works(_BENEATH | _NO_MAGICLINKS)


@cache
def _has_cached() -> bool:
    return _has_openat2() and _works(_BENEATH | _NO_MAGICLINKS | _CACHED)


def _works(resolve: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    folder = os.open("/", _LOOK | os.O_DIRECTORY)
    try:
        os.close(_openat2(folder, b".", _LOOK, resolve))
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(folder)
    return True


def _open_beneath(folder: int, name: bytes, only_cached: bool) -> int:
    """Open a file, after a look at what it is. Raises: OSError; NotCached."""
    resolve = _BENEATH | _NO_MAGICLINKS | (_CACHED if only_cached else 0)
    for flags in (_LOOK, _FLAGS):
        for attempt in range(_TRIES):
            try:
                found = _openat2(folder, name, flags, resolve)
                break
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    raise
                if only_cached:
                    raise NotCached from None
                if attempt == _TRIES - 1:
                    raise OSError(errno.ENOENT, "it does not stand still", name) from None
        if flags == _LOOK:
            _check_plain(found, name)
    return found


def _check_plain(fd: int, name: bytes) -> None:
    """Close what was looked at. Raises: OSError if it is no plain file."""
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.ENOENT, "no plain file", name)
    finally:
        os.close(fd)


def _open_by_components(folder: int, name: bytes, only_cached: bool = False) -> int:
    """Open a file, one component after the other, and no link. Raises: OSError."""
    *folders, last = parts = name.split(b"/")
    if not {b"", b".", b".."}.isdisjoint(parts):
        raise OSError(errno.ENOENT, "not a way down", name)
    at = folder
    try:
        for each in folders:
            inner = os.open(each, _LOOK | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            if at != folder:
                os.close(at)
            at = inner
        if not stat.S_ISREG(os.stat(last, dir_fd=at, follow_symlinks=False).st_mode):
            raise OSError(errno.ENOENT, "no plain file", name)
        return os.open(last, _FLAGS | os.O_NOFOLLOW, dir_fd=at)
    finally:
        if at != folder:
            os.close(at)


def _told(error: OSError) -> Exception:
    """Return what an error means: NotFound, or the error itself."""
    return NotFound(error.filename) if error.errno in _NOT_FOUND else error
