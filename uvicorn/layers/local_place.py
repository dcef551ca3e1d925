"""Where the processes of a local layer find each other: a directory with a socket of each.

The directory has mode 700 and belongs to the user that runs the processes; both is checked, since whoever can reach a
socket can send to everybody. The peers of connections are checked by their credentials, too.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import sys
from typing import Any, Final

__all__ = ["HISTORY_ENDING", "PART_ENDING", "Place", "is_ours", "is_ours_by_name"]

HISTORY_ENDING: Final = ".history"  # of a group (`history_files.py`)
PART_ENDING: Final = ".part"  # of one that is not finished

_ENDING: Final = ".sock"
_UNREADY: Final = ".new"
_LONGEST: Final = 100  # bytes of a socket's path: systems take 104 to 108
_BACKLOG: Final = 128
_ATTEMPTS: Final = 5  # to make a directory that another process removes as the last one that leaves


class Place:
    """The directory of one local layer.

    Args:
        path: of the directory; it is made if it is not there.
    """

    def __init__(self, path: str) -> None:
        self.path: Final = path
        self._own: str | None = None

    def enter(self, node: str) -> socket.socket:
        """Make our socket, on which others find us.

        Raises: OSError, with a sentence if the directory is not safe.
        """
        own = os.path.join(self.path, node + _ENDING)
        if len(os.fsencode(own)) > _LONGEST:
            raise OSError(f"the path {self.path!r} is too long for sockets: {_LONGEST} bytes with their names")
        for _ in range(_ATTEMPTS):
            self.check(make=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            # Nobody sees it before it listens: who is refused takes us for a process that was killed.
            made = os.path.join(self.path, node + _UNREADY)
            try:
                listener.bind(made)
                listener.listen(_BACKLOG)
                os.rename(made, own)
            except FileNotFoundError:
                listener.close()
                continue
            except BaseException:
                listener.close()
                raise
            self._own = own
            return listener
        raise OSError(f"the directory {self.path!r} vanishes")

    def check(self, make: bool = False) -> None:
        """Check that nobody but us can have put something into the directory.

        Raises: OSError that says what is wrong.
        """
        if make:
            os.makedirs(os.path.dirname(self.path) or ".", exist_ok=True)
            try:
                os.mkdir(self.path, 0o700)
            except FileExistsError:
                pass
        found = os.lstat(self.path)
        if not stat.S_ISDIR(found.st_mode):
            raise OSError(f"{self.path!r} is no directory")
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise OSError(
                f"the directory {self.path!r} must belong to the user that runs this process, with mode 700: it "
                f"belongs to user {found.st_uid}, with mode {stat.S_IMODE(found.st_mode):o}"
            )

    def others(self) -> list[tuple[str, str]]:
        """Return the node and the socket's path of each other process."""
        try:
            names = os.listdir(self.path)
        except OSError:
            return []
        found = [(name.removesuffix(_ENDING), os.path.join(self.path, name)) for name in names]
        return sorted((node, path) for node, path in found if path.endswith(_ENDING) and path != self._own)

    def forget(self, path: str) -> None:
        """Remove the socket of a process that was killed."""
        try:
            os.unlink(path)
        except OSError:
            pass

    def leave(self) -> None:
        """Remove our socket, and the directory if nothing is left in it.

        Histories of groups are: whoever leaves as the last one may be about to be replaced. They are for `clear`.
        """
        if self._own is not None:
            self.forget(self._own)
            self._own = None
            self._remove()

    def clear(self, is_over: bool) -> None:
        """Remove what processes have left there, and the directory.

        Args:
            is_over: no process is there any more; otherwise it is done if none has a socket there.
        """
        try:
            is_safe = stat.S_ISDIR(os.lstat(self.path).st_mode)
            names = os.listdir(self.path) if is_safe else []
        except OSError:
            return
        if is_over or not any(name.endswith((_ENDING, _UNREADY)) for name in names):
            for name in filter(is_ours_by_name, names):
                self.forget(os.path.join(self.path, name))
            self._remove()

    def _remove(self) -> None:
        try:
            os.rmdir(self.path)
        except OSError:
            pass


def is_ours_by_name(name: str) -> bool:
    """Whether it is the name of a file that processes make in the directory of a layer."""
    return name.endswith((HISTORY_ENDING, PART_ENDING, _ENDING, _UNREADY))


def is_ours(connection: Any) -> bool:
    """Whether the other end of a unix socket is a process of our user, or of the superuser."""
    if not sys.platform.startswith("linux"):
        return True  # the directory's mode says it
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    user: int = struct.unpack("3i", credentials)[1]
    return user in (os.geteuid(), 0)
