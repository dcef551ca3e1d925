"""Instructions per request of the hot paths, which show a regression on a noisy machine.

Valgrind counts the instructions of two whole runs, of N and of 4N requests; the difference, divided by 3N, has no
start-up in it. Three counts of one path differ by less than 0.2%, its threads included. On a busy machine threads that
wait do more, by the clock, and this is only ever added: of several counts of one run the least one holds.

The figure belongs to one build of the interpreter and its libraries, and is compared only with one of the same.
Keeping it as a multiple of a calibration, counted by the same interpreter, was tried: two builds of 3.11 (as
compiled by default, and Debian's) then still differ by 3 to 8%, and 3.10, 3.11, 3.12 and 3.13 by up to a third,
which is more than what is looked for. So on another build the commit that stored the figures is counted again.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import CHECKOUT

__all__ = [
    "PATHS",
    "STORED",
    "TOLERANCE",
    "Compared",
    "Walks",
    "build",
    "compare",
    "minor",
    "parse_valgrind",
    "per_request",
    "rows",
    "walked",
]

STORED = Path(__file__).resolve().parent / "instructions.json"
TOLERANCE = 1.05  # times the stored figure
PATHS = (  # as benchmarks/paths.py calls them
    "asynchronous hello",
    "synchronous hello",
    "ASGI hello",
    "WSGI hello",
    "JSON of 1 KiB",
    "asynchronous hello, the same head",
    "synchronous hello, the same head",
    "chunk of 64 KiB",
    "chunk of 64 KiB from a thread",
    "asynchronous echo",
    "synchronous echo",
    "asynchronous hello, HTTP/2",
    "synchronous hello, HTTP/2",
    "ASGI hello, HTTP/2",
    "chunk of 64 KiB, HTTP/2",
    "read of an upload, HTTP/2",
)
Walks = dict[tuple[str, int], int]  # path and requests -> instructions
_REQUESTS = 500
# cachegrind without its cache counts what callgrind counts, in half of the time.
_VALGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
_NAMES = (
    "import json; from benchmarks import paths; print(json.dumps([list(paths.PATHS), hasattr(paths, 'walk_each')]))"
)
_BUILD = """
import json, platform, sysconfig
from importlib.metadata import version
arguments = sysconfig.get_config_var("CONFIG_ARGS") or ""
telling = ("--enable-optimizations", "--with-lto", "--enable-shared")
try:
    from uvicorn.variant import described
except ImportError:  # before there were two variants
    described = lambda: "pure Python"
try:
    ngh2 = version("ngh2")
except ImportError:  # an extra
    ngh2 = ""
print(json.dumps({
    "variant": described(),
    "python": platform.python_version(),
    "compiler": platform.python_compiler(),
    "flags": " ".join(flag for flag in telling if flag in arguments),
    "libc": " ".join(platform.libc_ver()),
    "machine": platform.machine(),
    **{name: version(name) for name in ("uvloop", "httptools", "gunicorn", "janus", "websockets")},
    "ngh2": ngh2,
}))
"""


@dataclass(frozen=True)
class Compared:
    """One path: instructions per request now, and as stored; None if it is not stored."""

    path: str
    now: float
    stored: float | None

    @property
    def change(self) -> float | None:
        """How many times the stored figure it is."""
        return self.now / self.stored if self.stored else None

    @property
    def is_worse(self) -> bool:
        """Whether this is a regression."""
        return self.change is not None and self.change > TOLERANCE


def walked(python: str = sys.executable, checkout: Path = CHECKOUT, paths: Sequence[str] = PATHS) -> Walks:
    """Count the walks of the paths that the checkout has, as it is.

    Raises: RuntimeError with what was printed, if a path cannot be walked.
    """
    # Else what a walk imports late is compiled in the shorter one of two, and it seems as if the longer one did less.
    _run([python, "-m", "compileall", "-q", "-j0", "uvicorn", "benchmarks"], checkout)
    names, can_fork = json.loads(_run([python, "-c", _NAMES], checkout).stdout)
    paths = tuple(path for path in paths if path in names)
    processors = os.cpu_count() or 1
    shares = [_walks(paths[number::processors]) for number in range(processors)]
    if not can_fork:  # a commit from before: each walk is a process
        shares = [[walk] for walk in _walks(paths)]
    counted: Walks = {}
    with ThreadPoolExecutor(processors) as executor:
        for found in executor.map(lambda walks: _instructions(python, checkout, walks), filter(None, shares)):
            counted.update(found)
    return {walk: counted[walk] for walk in _walks(paths)}


def per_request(walks: Walks) -> dict[str, float]:
    """Return path -> instructions per request. Pure."""
    short = {path: count for (path, requests), count in walks.items() if requests == _REQUESTS}
    return {path: (walks[path, 4 * _REQUESTS] - count) / (3 * _REQUESTS) for path, count in short.items()}


def compare(counted: Mapping[str, float], stored: Mapping[str, float]) -> list[Compared]:
    """Put what was counted beside what was stored. Pure."""
    return [Compared(path, now, stored.get(path)) for path, now in counted.items()]


def parse_valgrind(printed: str, process: str = "") -> int:
    """Return the number of instructions that valgrind counted, in this process if there were several. Pure.

    Raises: ValueError.
    """
    begin = f"=={process}== " if process else ""
    found = re.search(rf"{begin}I\s+refs:\s+([\d,]+)", printed)
    if found is None:
        raise ValueError(f"no count in {printed[-2000:]!r}")
    return int(found[1].replace(",", ""))


def rows(compared: list[Compared]) -> list[list[str]]:
    """Return the comparison as rows of text. Pure."""
    table = [["instructions per request", "now", "stored", "change"]]
    for one in compared:
        stored = f"{one.stored:,.0f}" if one.stored else "-"
        change = f"{(one.change - 1) * 100:+.1f}%" if one.change else "-"
        table.append([one.path, f"{one.now:,.0f}", stored, change])
    return table


def build(python: str) -> dict[str, str]:
    """Return what a count depends on beside our code: the interpreter, and the libraries that are counted with it."""
    found: dict[str, str] = json.loads(_run([python, "-c", _BUILD], CHECKOUT).stdout)
    found["valgrind"] = _run(["valgrind", "--version"], CHECKOUT).stdout.strip().removeprefix("valgrind-")
    return found


def minor(version: str) -> str:
    """Return "3.11" of "3.11.7"."""
    return ".".join(version.split(".")[:2])


def _walks(paths: Sequence[str]) -> list[tuple[str, int]]:
    return [(path, requests) for path in paths for requests in (_REQUESTS, 4 * _REQUESTS)]


def _instructions(python: str, checkout: Path, walks: list[tuple[str, int]]) -> Walks:
    """Count walks in one process, and its children: each has the instructions of its parent before it."""
    words = [word for path, requests in walks for word in (path, str(requests))]
    done = _run([*_VALGRIND, python, "-m", "benchmarks.paths", *words], checkout)
    if len(walks) == 1:
        return {walks[0]: parse_valgrind(done.stderr)}
    children = [line.split(" ", 2) for line in done.stdout.splitlines()]
    return {(path, int(requests)): parse_valgrind(done.stderr, child) for child, requests, path in children}


def _run(command: list[str], checkout: Path) -> subprocess.CompletedProcess[str]:
    # The order of a set depends on the hash seed, and the number of instructions on that.
    variables = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(checkout)}
    done = subprocess.run(command, cwd=checkout, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return done
