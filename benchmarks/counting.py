"""The command `count`: instructions now, beside the stored ones, or beside those of another commit."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import instructions, tables
from benchmarks.environments import CHECKOUT, compile_checkout
from benchmarks.instructions import STORED

__all__ = ["NOT_RUN", "run"]

_MOST_COUNTS = 3  # of what seems to be worse
NOT_RUN = 77  # the exit code for "could not be checked", as automake's test driver has it


def run(python: str, is_update: bool, commit: str = "", is_compiled: bool = False) -> int:
    """Count, print, compare; return the exit code: 0, 1 for a regression, or `NOT_RUN`.

    Args:
        is_update: store what was counted, for this minor version.
        commit: compare with this commit, and not with the stored figures.
        is_compiled: the checkout has what was compiled of it already.
    """
    if shutil.which("valgrind") is None:
        return _not_run("valgrind is not installed (on Debian: apt-get install valgrind)")
    if not is_compiled:
        compile_checkout(python)
    build = instructions.build(python)
    version = instructions.minor(build["python"])
    walks = instructions.walked(python)
    if is_update:
        counted = instructions.per_request(_least(walks, instructions.walked(python)))
        _store(version, {"build": build, "instructions": {path: round(value) for path, value in counted.items()}})
        return 0
    entry = _stored().get(version, {})
    if not commit and entry.get("build") != build:
        commit = _last_stored()
        if not commit:
            return _not_run("the figures are of another build, and the commit that stored them is not here")
        print(f"The figures are of another build of Python or its libraries: counting {commit[:12]} with this one")
    stored = _count_commit(python, commit) if commit else entry["instructions"]
    compared = instructions.compare(instructions.per_request(walks), stored)
    for _ in range(_MOST_COUNTS - 1):
        if worse := [one.path for one in compared if one.is_worse]:
            walks = _least(walks, instructions.walked(python, paths=worse))
            compared = instructions.compare(instructions.per_request(walks), stored)
    print(", ".join(f"{name} {value}" for name, value in build.items() if value))
    print(tables.aligned(instructions.rows(compared)))
    worse = [one.path for one in compared if one.is_worse]
    if worse:
        print(f"More than {(instructions.TOLERANCE - 1) * 100:.0f}% above the stored figure: {', '.join(worse)}.")
        print("If it is worth its price: python -m benchmarks count --update, and say why in the same commit.")
    return 1 if worse else 0


def _least(walks: instructions.Walks, again: instructions.Walks) -> instructions.Walks:
    """Return the least counts of each walk: what the clock adds is no part of it."""
    return {**walks, **{walk: min(count, walks[walk]) for walk, count in again.items()}}


def _not_run(reason: str) -> int:
    print(f"Instructions were NOT compared: {reason}")
    return NOT_RUN


def _last_stored() -> str:
    """Return the commit that last stored figures: their code is in it. Empty if the history is not here."""
    command = ["git", "-C", str(CHECKOUT), "log", "-1", "--format=%H", "--", str(STORED)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _count_commit(python: str, commit: str) -> dict[str, float]:
    """Count another commit, with the paths that it had itself."""
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.Popen(["git", "-C", str(CHECKOUT), "archive", commit], stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", folder], stdin=archive.stdout, check=True)
        if archive.wait():
            raise SystemExit(f"no commit {commit}")
        compile_checkout(python, Path(folder))
        return instructions.per_request(instructions.walked(python, Path(folder)))


def _stored() -> dict[str, Any]:
    return json.loads(STORED.read_text()) if STORED.exists() else {}


def _store(version: str, entry: dict[str, Any]) -> None:
    stored = sorted({**_stored(), version: entry}.items(), key=lambda item: int(item[0].split(".")[1]))
    STORED.write_text(json.dumps(dict(stored), indent=1) + "\n")
    print(f"Stored for Python {version}: commit it with the code that was counted", file=sys.stderr)
