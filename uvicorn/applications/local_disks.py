"""Whether a path is on a file system of this machine, which answers at once what it has in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

__all__ = ["is_local", "local_by"]

#: file systems that need no other machine
_LOCAL: Final = frozenset(
    b"bcachefs btrfs erofs exfat ext2 ext3 ext4 f2fs iso9660 jfs ntfs3 overlay ramfs reiserfs rootfs squashfs tmpfs "
    b"udf vfat xfs zfs".split()
)


def is_local(path: str) -> bool:
    """Whether a path is on a file system that needs no other machine; False where that cannot be told."""
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            return local_by(file, os.fsencode(os.path.realpath(path)))
    except OSError:
        return False


def local_by(mounts: Iterable[bytes], path: bytes) -> bool:
    """Whether a path is on such a file system, by the lines of /proc/self/mountinfo (proc(5))."""
    best, kind = -1, b""
    for line in mounts:
        fields, _, rest = line.partition(b" - ")
        point = fields.split(b" ")[4].decode("unicode_escape").encode("latin-1").rstrip(b"/")
        if (path == point or path.startswith(point + b"/")) and len(point) >= best:  # a later one lies on top
            best, kind = len(point), rest.split(b" ")[0]
    return kind in _LOCAL
