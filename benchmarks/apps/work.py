"""What the consumers of all servers do before they answer: wait, compute, or hash.

Computing is measured by the thread's own CPU clock. So a call costs the same whether its thread runs alone or
shares the interpreter with others, and a server that gets less done has lost the time itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable

PAGE = b"Hello, world!"
CHUNK = b"x" * 65536  # of a stream
CHUNKS = 160  # 10 MiB, one response
_HASHED = b"x" * 262144  # long enough for hashlib to release the interpreter


def wait(seconds: float) -> None:
    """Wait, as for a database."""
    time.sleep(seconds)


def compute(seconds: float) -> None:
    """Run Python code for so much CPU time of this thread."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        for _ in range(200):
            pass


def hash_in_c(seconds: float) -> None:
    """Hash for so much CPU time of this thread: C code that releases the interpreter."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        hashlib.sha256(_HASHED).digest()


def view() -> None:
    """Do what a typical view does: a few queries, and a little computing between them."""
    wait(0.003)
    compute(0.0005)
    wait(0.003)
    compute(0.0005)
    wait(0.003)


async def view_async() -> None:
    """Do the same on the loop."""
    await asyncio.sleep(0.003)
    compute(0.0005)
    await asyncio.sleep(0.003)
    compute(0.0005)
    await asyncio.sleep(0.003)


def half() -> None:
    """Wait half of the time, and compute the other half."""
    wait(0.005)
    compute(0.005)


class Turns:
    """The longest turn of the event loop, in milliseconds of processor time of its thread.

    A timer of a millisecond is due in every turn that follows a longer one. So the processor time between two of its
    calls is that of one long turn, and at most a millisecond of short ones.
    """

    def __init__(self) -> None:
        self._longest = self._last = 0.0
        self._is_started = False

    def taken(self) -> float:
        """Return the longest turn since the last time. On the loop."""
        if not self._is_started:
            self._is_started = True
            self._look(asyncio.get_running_loop())
        found, self._longest = self._longest, 0.0
        return found * 1000

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.thread_time()
        self._longest = max(self._longest, now - self._last)
        self._last = now
        loop.call_later(0.001, self._look, loop)


TURNS = Turns()


_TYPES = ("text/html; charset=utf-8", "application/json", "text/css", "image/svg+xml", "text/plain; charset=utf-8")


def reply(path: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return status, headers and content of a page; no two pages with numbers in their paths have the same.

    The lengths are those of small pages and of answers to scripts: 20 to 4,115 bytes.
    """
    number = int("".join(filter(str.isdigit, path)) or "0")
    headers = [
        ("Content-Type", _TYPES[number % 5]),
        ("Cache-Control", f"private, max-age={number % 3600}"),
        ("ETag", f'"{number:x}-{number * 7919 % 65521:x}"'),
        ("X-Request-Id", f"{number:016x}"),
    ]
    if number % 3 == 1:
        headers.append(("Set-Cookie", f"visit={number:x}; Path=/; HttpOnly; SameSite=Lax"))
    if number % 4 == 2:
        headers += [("Vary", "Accept-Encoding, Cookie"), ("X-Process-Time", f"{number % 997 / 1e4:.4f}")]
    content = b"x" * (20 + number * 31 % 4096)
    return (200 if number % 7 else 201) if number else 200, headers, content


# path -> what a synchronous consumer does there before it answers
LOADS: dict[str, Callable[[], None]] = {
    "/nothing": lambda: None,
    "/wait10": lambda: wait(0.010),
    "/compute1": lambda: compute(0.001),
    "/compute5": lambda: compute(0.005),
    "/compute20": lambda: compute(0.020),
    "/view": view,
    "/hash": lambda: hash_in_c(0.005),
    "/half": half,
}
