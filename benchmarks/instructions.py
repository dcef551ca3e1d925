"""Instructions per request of the hot paths, which show a regression on a noisy machine.

    python -m benchmarks count             count, and compare with the stored figures: fails above 5%
    python -m benchmarks count --update    count, and store

Valgrind counts the instructions of two whole runs, of N and of 4N requests; the difference, divided by 3N, has no
start-up in it. Figures are kept as multiples of a calibration, counted in the same way by the same interpreter:
another build of the same Python takes fewer instructions for all of it. They are kept for each minor version.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.environments import CHECKOUT

__all__ = ["STORED", "Compared", "compare", "count", "parse_valgrind", "table"]

STORED = Path(__file__).resolve().parent / "instructions.json"
TOLERANCE = 1.05  # times the stored figure
_REQUESTS = 500
_PATHS = (
    "asynchronous hello",
    "synchronous hello",
    "asynchronous hello, 16 headers",
    "chunk of 64 KiB",
    "chunk of 64 KiB from a thread",
)
_CALIBRATION = "calibration"
_VALGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")


@dataclass(frozen=True)
class Compared:
    """One path: its multiple of the calibration now, and as stored (None: not stored)."""

    path: str
    now: float
    stored: float | None

    @property
    def change(self) -> float:
        """How many times the stored figure it is; 1 if none is stored."""
        return self.now / self.stored if self.stored else 1.0

    @property
    def is_worse(self) -> bool:
        """Whether this is a regression."""
        return self.change > TOLERANCE


def count(python: str = sys.executable, checkout: Path = CHECKOUT, paths: tuple[str, ...] = _PATHS) -> dict[str, float]:
    """Count: path -> instructions per request, the calibration among them.

    Raises: RuntimeError with what was printed, if a path cannot be walked.
    """
    names = (_CALIBRATION, *paths)
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        runs = {
            (name, requests): executor.submit(_instructions, python, checkout, name, requests)
            for name in names
            for requests in (_REQUESTS, 4 * _REQUESTS)
        }
        counted = {key: run.result() for key, run in runs.items()}
    return {
        name: (counted[name, 4 * _REQUESTS] - counted[name, _REQUESTS]) / (3 * _REQUESTS) for name in names
    }


def compare(counted: Mapping[str, float], stored: Mapping[str, Any]) -> list[Compared]:
    """Compare what was counted with the stored figures of the same minor version; pure."""
    known: Mapping[str, float] = stored.get("multiples", {})
    unit = counted[_CALIBRATION]
    return [
        Compared(path, instructions / unit, known.get(path))
        for path, instructions in counted.items()
        if path != _CALIBRATION
    ]


def parse_valgrind(printed: str) -> int:
    """Return the number of instructions that valgrind counted.

    Raises: ValueError.
    """
    found = re.search(r"I\s+refs:\s+([\d,]+)", printed)
    if found is None:
        raise ValueError(f"no count in {printed[-2000:]!r}")
    return int(found[1].replace(",", ""))


def entry(counted: Mapping[str, float], how: Mapping[str, str]) -> dict[str, Any]:
    """Return what is stored for one minor version."""
    return {
        "made_with": dict(how),
        "calibration": round(counted[_CALIBRATION]),
        "instructions": {path: round(value) for path, value in counted.items() if path != _CALIBRATION},
        "multiples": {
            path: round(value / counted[_CALIBRATION], 4) for path, value in counted.items() if path != _CALIBRATION
        },
    }


def table(counted: Mapping[str, float], compared: list[Compared]) -> list[list[str]]:
    """Return the comparison as rows of text."""
    rows = [["path", "instructions", "calibrations", "stored", "change"]]
    for one in compared:
        stored = f"{one.stored:.3f}" if one.stored else "-"
        change = f"{(one.change - 1) * 100:+.1f}%" if one.stored else "-"
        rows.append([one.path, f"{counted[one.path]:,.0f}", f"{one.now:.3f}", stored, change])
    return rows


def described(python: str) -> dict[str, str]:
    """Return what the count depends on: the interpreter and the libraries that are counted with it."""
    code = (
        "import platform, sysconfig, json; from importlib.metadata import version;"
        "flags = sysconfig.get_config_var('CONFIG_ARGS') or '';"
        "print(json.dumps({'python': platform.python_version(), 'machine': platform.machine(),"
        " 'optimized': 'yes' if '--enable-optimizations' in flags else 'no',"
        " **{name: version(name) for name in ('uvloop', 'httptools', 'gunicorn')}}))"
    )
    found: dict[str, str] = json.loads(_run([python, "-c", code], CHECKOUT).stdout)
    found["valgrind"] = _run(["valgrind", "--version"], CHECKOUT).stdout.strip()
    return found


def minor(version: str) -> str:
    """Return "3.11" of "3.11.7"."""
    return ".".join(version.split(".")[:2])


def _instructions(python: str, checkout: Path, path: str, requests: int) -> int:
    command = [*_VALGRIND, python, "-m", "benchmarks.paths", path, str(requests)]
    return parse_valgrind(_run(command, checkout).stderr)


def _run(command: list[str], checkout: Path) -> subprocess.CompletedProcess[str]:
    # The order of a set depends on the hash seed, and the number of instructions on that.
    variables = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(checkout)}
    done = subprocess.run(command, cwd=checkout, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return done
