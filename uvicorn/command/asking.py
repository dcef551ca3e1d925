"""Ask the workers of a running master: how `uvicorn status`, `uvicorn dump` and `uvicorn top` find and read them."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from uvicorn.watching.inspection import NAME, candidates

__all__ = ["AskingError", "WorkerSocket", "ask", "master_of", "masters", "workers_of"]

_SECONDS: Final = 5.0  # for an answer; arbitrary
_TABLE: Final = Path("/proc/net/unix")


class AskingError(Exception):
    """There is nobody to ask, or too many."""


class WorkerSocket:
    """Where a worker answers.

    Attributes:
        master, pid: process ids.
        path: of its socket.
    """

    def __init__(self, master: int, pid: int, path: str) -> None:
        self.master = master
        self.pid = pid
        self.path = path

    def __repr__(self) -> str:
        return f"<WorkerSocket {self.path}>"


def masters(places: Iterable[Path] | None = None) -> dict[int, list[WorkerSocket]]:
    """Return all masters whose workers have sockets here: process id -> workers, by their own process ids.

    Args:
        places: where to look beside what the system lists; None for the usual ones.
    """
    found: dict[int, dict[int, WorkerSocket]] = {}
    for path in (*_listed(), *_in_places(candidates() if places is None else places)):
        match = NAME.search(path)
        if match is not None:
            master, worker = int(match["master"]), int(match["worker"])
            found.setdefault(master, {}).setdefault(worker, WorkerSocket(master, worker, path))
    return {master: [workers[pid] for pid in sorted(workers)] for master, workers in sorted(found.items())}


def master_of(pid: int | None, pid_file: str | None, places: Iterable[Path] | None = None) -> int:
    """Return the process id of the master that is meant.

    Args:
        pid: of the master or of one of its workers, or None.
        pid_file: its name, or None.

    Raises: AskingError.
    """
    if pid_file is not None:
        try:
            pid = int(Path(pid_file).read_text().strip())
        except (OSError, ValueError) as error:
            raise AskingError(f"cannot read the process id in {pid_file}: {error}") from None
    known = masters(places)
    if pid is not None:
        for master, workers in known.items():
            if pid == master or any(worker.pid == pid for worker in workers):
                return master
        raise AskingError(
            f"process {pid} has no workers that can be asked: it is no master of uvicorn, runs as another user, has "
            "status_dir 'off', or its directory for sockets is not known here (--status-dir)"
        )
    if len(known) == 1:
        return next(iter(known))
    if not known:
        raise AskingError("no master with workers that can be asked was found; see --pid and --status-dir")
    raise AskingError(f"several masters run: choose one with --pid ({', '.join(map(str, known))})")


def workers_of(master: int, places: Iterable[Path] | None = None) -> list[WorkerSocket]:
    """Return the workers of a master that can be asked just now."""
    return masters(places).get(master, [])


def ask(worker: WorkerSocket, question: str) -> str:
    """Return a worker's answer. Raises: AskingError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.settimeout(_SECONDS)
        parts = []
        try:
            caller.connect(worker.path)
            caller.sendall(question.encode() + b"\n")
            while data := caller.recv(65536):
                parts.append(data)
        except OSError as error:
            raise AskingError(f"worker {worker.pid} does not answer: {error}") from None
    answer = b"".join(parts).decode("utf-8", "replace").rstrip("\n")
    if answer.startswith("error: "):
        raise AskingError(f"worker {worker.pid}: {answer.removeprefix('error: ')}")
    return answer


def statuses(master: int, places: Iterable[Path] | None = None) -> list[dict[str, Any]]:
    """Return what each worker of a master tells of itself; of one that does not answer `pid` and `error`."""
    found = []
    for worker in workers_of(master, places):
        try:
            found.append(json.loads(ask(worker, "status")))
        except (AskingError, ValueError) as error:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(worker.pid, 0)
                found.append({"pid": worker.pid, "error": str(error)})
    return found


def _listed() -> list[str]:
    """Return the paths of all Unix sockets that the system lists."""
    try:
        lines = _TABLE.read_text(errors="replace").splitlines()[1:]
    except OSError:
        return []
    return sorted({line.split(None, 7)[7] for line in lines if line.count(" ") >= 7 and "/worker-" in line})


def _in_places(places: Iterable[Path]) -> list[str]:
    found: list[str] = []
    for place in places:
        with suppress(OSError):
            found += map(os.fspath, place.glob("uvicorn-*/worker-*.sock"))
    return found
