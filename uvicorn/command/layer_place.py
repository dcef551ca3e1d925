"""Where the workers of one master find each other: a directory that goes with the last of them, however they end.

A master that leaves in order removes its directory. One that was killed cannot: the next master of the same user does
it. It tells by a lock of the directory (`flock`), which the master takes and its workers inherit: the system gives it
back when the last of them is gone. So no process id is trusted, which another process may have got meanwhile.

Such a lock is known to one kernel only, also in a directory that several machines share by a network (NFS has no locks
of directories). So the name says which machine it is, since its last start: what others have made is left alone.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import stat
import tempfile
import zlib
from typing import Final
from urllib.parse import unquote, urlsplit

from uvicorn.layers.local_place import Place, is_ours_by_name

__all__ = ["make_place", "named_place"]

_PREFIX: Final = "uvicorn-layer-"
_ATTEMPTS: Final = 5  # to lock a directory before somebody takes it for one that was left
_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_places: dict[int, str] = {}  # the master's process id -> its directory
_shared_places: set[tuple[int, str]] = set()  # the same, of directories that it may share with other masters


def make_place(user: int, group: int, url: str = "local://") -> str | None:
    """Make the directory in which the workers of this master find each other, once. Runs in: the master.

    What is left in it when the master leaves is removed then.

    Args:
        user, group: who the workers will be.
        url: of the layer, which may have a directory of its own.

    Returns: its path, or None if it cannot be made, or no worker would use it.
    """
    master = os.getpid()
    if urlsplit(url).scheme != "local":
        return None
    named = named_place(url)
    if named and (master, named) not in _shared_places:
        _shared_places.add((master, named))
        atexit.register(_clear, master, named, False)
    if master not in _places:
        _sweep({user, os.geteuid()})
        try:
            path = _made(user, group)
        except OSError:
            return None
        _places[master] = path
        atexit.register(_clear, master, path, True)
    return _places[master]


def named_place(url: str) -> str:
    """Return the directory that a layer's URL names, or ""."""
    parts = urlsplit(url)
    return unquote(parts.path) if parts.scheme == "local" else ""


def _made(user: int, group: int) -> str:
    """Make a directory, and keep its lock. Raises: OSError."""
    for _ in range(_ATTEMPTS):
        path = tempfile.mkdtemp(prefix=f"{_PREFIX}{_machine()}-")
        if _is_kept(path):
            if user != os.geteuid():
                os.chown(path, user, group)
            return path
    raise OSError("other masters remove what this one has made")


def _is_kept(path: str) -> bool:
    """Lock a directory until the last process ends that inherits the lock; return False if it is gone already.

    Raises: OSError if it cannot be opened: without its lock the next master would remove it.
    """
    try:
        lock = os.open(path, _FLAGS)
    except FileNotFoundError:  # another master takes it for one that was left
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), os.stat(path)):
            return True
    except (BlockingIOError, FileNotFoundError):  # the same
        pass
    except OSError:
        os.close(lock)
        return True  # a file system without such locks: there nobody removes it
    os.close(lock)
    return False


def _sweep(users: set[int]) -> None:
    """Remove the directories of masters that were killed, with all their workers."""
    base, prefix = tempfile.gettempdir(), f"{_PREFIX}{_machine()}-"
    try:
        names = [name for name in os.listdir(base) if name.startswith(prefix)]
    except OSError:
        return
    for name in names:
        path = os.path.join(base, name)
        try:
            folder = os.open(path, _FLAGS)
        except OSError:
            continue
        try:
            if os.fstat(folder).st_uid in users and not os.fstat(folder).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for each in filter(is_ours_by_name, os.listdir(folder)):
                    os.unlink(each, dir_fd=folder)
                os.rmdir(path)
        except OSError:
            pass  # it is in use, or there is something else in it
        finally:
            os.close(folder)


def _machine() -> str:
    """Return what no other kernel has: of this start on Linux, of the machine elsewhere."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            name = file.read()
    except OSError:
        name = os.uname().nodename.encode()
    return f"{zlib.crc32(name):08x}"


def _clear(master: int, path: str, is_own: bool) -> None:
    """Remove a directory, in the master; its workers have inherited that this is to be done."""
    if os.getpid() == master:
        Place(path).clear(is_own)
