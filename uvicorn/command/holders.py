"""Whether an address can be listened at, and who does it already."""

from __future__ import annotations

import ast
import errno
import logging
import os
import socket
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Final

__all__ = ["exit_if_taken", "have_holders_named", "holder_of", "taken"]

_LISTENING: Final = "0A"  # TCP_LISTEN in the kernel's tables
_STARTTIME: Final = 19  # place in /proc/<pid>/stat, behind the name: proc(5)
_MOST_SHOWN: Final = 80  # characters of a command line


def taken(addresses: Iterable[Any]) -> str | None:
    """Return a sentence for the first address that somebody else listens at; None if all are free.

    Args:
        addresses: Gunicorn's `address`: (host, port), paths and descriptors; the last two are passed over.
    """
    for address in addresses:
        if not isinstance(address, tuple) or not address[1]:
            continue
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OverflowError:
            return f"{address[1]} is no number of a port: 0 to 65535"
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                continue  # Gunicorn says it
            host, port = address[:2]
            holder = holder_of(port)
            by = f" by {holder}" if holder else ""
            shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            return f"{shown} is in use{by}: stop that, or choose another port with --port"
    return None


def exit_if_taken(cfg: Any) -> None:
    """End with one sentence if somebody else listens at an address of Gunicorn's configuration. Raises: SystemExit."""
    brings_sockets = cfg.reuse_port or not os.environ.keys().isdisjoint(("GUNICORN_FD", "LISTEN_FDS"))
    in_use = None if brings_sockets else taken(cfg.address)
    if in_use is not None:
        sys.exit(f"\nError: {in_use}\n")


def have_holders_named() -> None:
    """Have Gunicorn's own line about an address that is in use say by whom. Idempotent.

    Its master binds before it asks a worker class anything, and gives nobody the error: what passes us is the line.
    """
    logging.getLogger("gunicorn.error").addFilter(_name_holder)


def _name_holder(record: logging.LogRecord) -> bool:
    if record.msg == "Connection in use: %s" and record.args:
        try:
            address = ast.literal_eval(str(record.args[0]))  # type: ignore[index]  # a tuple: one value
            holder = holder_of(address[1]) if isinstance(address, tuple) else ""
        except (ValueError, SyntaxError, LookupError, TypeError):
            return True  # the path of a unix socket, or another Gunicorn's words
        if holder:
            record.args = (f"{address}, by {holder}",)
    return True


def holder_of(port: int) -> str:
    """Return who listens at a TCP port of this machine, as "python3 app.py (pid 17)"; "" if that cannot be known.

    It is known on Linux, of processes of the same user, or to root.
    """
    inodes = {f"socket:[{inode}]" for inode in _inodes(port)}
    if not inodes:
        return ""
    found = [pid for name in _listed("/proc") if name.isdigit() and _has_one(pid := int(name), inodes)]
    if not found:
        return ""
    pid = min(found, key=_began)  # of several that share it the oldest: the master
    return f"{_command(pid)} (pid {pid})"


def _has_one(pid: int, inodes: set[str]) -> bool:
    for descriptor in _listed(f"/proc/{pid}/fd"):
        try:
            if os.readlink(f"/proc/{pid}/fd/{descriptor}") in inodes:
                return True
        except OSError:
            continue
    return False


def _began(pid: int) -> tuple[int, int]:
    """Return when a process began, and its number: numbers begin anew when the largest was given."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[_STARTTIME]), pid
    except (OSError, ValueError, IndexError):
        return sys.maxsize, pid


def _inodes(port: int) -> Iterator[str]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as file:
                lines = [line.split() for line in file][1:]
        except OSError:
            continue
        for fields in lines:
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().decode("utf-8", "backslashreplace").replace("\0", " ").strip()
    except OSError:
        words = ""
    if not words.isprintable():
        words = ascii(words)
    return words if len(words) <= _MOST_SHOWN else words[: _MOST_SHOWN - 3] + "..."
