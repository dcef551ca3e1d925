"""How others ask a worker about itself: a Unix socket of its own, for its owner alone.

Theory of operation
-------------------
The socket is `uvicorn-<master>/worker-<pid>.sock`, in a directory that only its owner may enter; its mode is 600, and
the system tells who calls: root, the worker's user, and the master's. A caller sends one line, gets an answer, and the
connection is closed:

    dump        text: what the worker does just now
    stacks      the same, with the stack of every thread
    status      JSON: its numbers, what is in flight, and its last warnings

A worker that was killed leaves its socket behind; the next one in the same directory removes it. Of a master that was
killed with all its workers the whole directory is left; whoever makes a socket beside it removes that.
"""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import struct
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from uvicorn.watching.processes import is_there
from uvicorn.watching.settings import AUTOMATIC

__all__ = ["Inspection", "candidates", "socket_name"]

NAME: Final = re.compile(r"/uvicorn-(?P<master>\d+)/worker-(?P<worker>\d+)\.sock$")
_DIRECTORY: Final = re.compile(r"uvicorn-\d+")
_TRIES: Final = 5
_LONGEST: Final = 100  # bytes of a path: what systems take for a socket is 104 or 108


def socket_name(master: int, worker: int) -> str:
    """Return the end of a socket's path."""
    return f"uvicorn-{master}/worker-{worker}.sock"


def candidates(given: str = AUTOMATIC) -> list[Path]:
    """Return where the directory of the sockets may be, the first choice first."""
    if given != AUTOMATIC:
        return [Path(given)]
    found = [os.environ.get(name, "").partition(":")[0] for name in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR")]
    return [Path(path) for path in (*found, tempfile.gettempdir()) if path]


class Inspection:
    """The socket, and what answers its callers.

    Args:
        answers: command -> what makes the answer.
    """

    def __init__(self, answers: dict[str, Callable[[], str]], master: int) -> None:
        self.path: Path | None = None
        self._answers = answers
        self._users = {0, os.geteuid()}
        self._master = master
        with suppress(OSError):
            self._users.add(os.stat(f"/proc/{master}").st_uid)

    def listen(self, given: str) -> socket.socket:
        """Make the socket.

        Raises: OSError that says where it could not be made.
        """
        errors = []
        for base in candidates(given):
            _remove_directories(base)
            for _ in range(_TRIES):
                try:
                    return self._listen_in(base)
                except FileNotFoundError as error:  # a sibling has just left, and removed the directory
                    failure: OSError = error
                except OSError as error:
                    failure = error
                    break
            errors.append(f"{base}: {failure}")
        raise OSError("; ".join(errors))

    def _listen_in(self, base: Path) -> socket.socket:
        path = base / socket_name(self._master, os.getpid())
        if len(os.fsencode(path)) > _LONGEST:
            raise OSError("the path is too long for a socket")
        folder = path.parent
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise OSError(f"{folder} is not a directory of ours alone")
        _remove_left(folder)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            mask = os.umask(0o177)
            try:
                listener.bind(os.fspath(path))
            finally:
                os.umask(mask)
            listener.listen(16)
        except OSError:
            listener.close()
            raise
        self.path = path
        return listener

    def remove(self) -> None:
        """Remove the socket, and the directory if it was the last one."""
        if self.path is not None:
            for function in (self.path.unlink, self.path.parent.rmdir):
                with suppress(OSError):
                    function()

    def __call__(self, caller: socket.socket) -> None:
        """Answer one caller. Raises: OSError."""
        asked = b""
        while not asked.endswith(b"\n") and len(asked) < 100:
            more = caller.recv(100)
            if not more:
                return
            asked += more
        user = _user_of(caller)
        if user is not None and user not in self._users:
            caller.sendall(b"error: not your worker\n")
            return
        answer = self._answers.get(asked.decode("ascii", "replace").strip())
        text = "error: ask for " + ", ".join(self._answers) if answer is None else answer()
        caller.sendall(text.encode("utf-8", "backslashreplace") + b"\n")


def as_json(value: Any) -> str:
    """Return JSON in one line."""
    return json.dumps(value, separators=(",", ":"))


def _user_of(caller: socket.socket) -> int | None:
    """Return the user who calls; None if the system does not tell."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    _, user, _ = struct.unpack("3i", caller.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))
    return int(user)


def _remove_directories(base: Path) -> None:
    """Remove the directories of masters that are gone, if nobody listens there any more."""
    try:
        names = [name for name in os.listdir(base) if _DIRECTORY.fullmatch(name)]
    except OSError:
        return
    for name in names:
        folder = base / name
        with suppress(OSError):
            if folder.lstat().st_uid == os.geteuid() and not is_there(int(name.partition("-")[2])):
                _remove_left(folder)
                folder.rmdir()


def _remove_left(folder: Path) -> None:
    """Remove the sockets of workers that are gone."""
    for path in folder.glob("worker-*.sock"):
        match = NAME.search(os.fspath(path))
        if match is not None and not is_there(int(match["worker"])) and _is_silent(path):
            with suppress(OSError):
                path.unlink()


def _is_silent(path: Path) -> bool:
    """Whether nobody listens: the process may be one of another container, whose number means nothing here."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.setblocking(False)
        try:
            caller.connect(os.fspath(path))
        except ConnectionRefusedError:
            return True
        except OSError:
            pass
    return False
