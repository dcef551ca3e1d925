"""The command `count`: instructions now, beside the stored ones, or beside those of another commit."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import instructions, tables
from benchmarks.environments import CHECKOUT
from benchmarks.instructions import STORED

__all__ = ["run"]

NOT_RUN = 77  # the exit code for "could not be checked", as automake's test driver has it


def run(python: str, is_update: bool, commit: str = "") -> int:
    """Count, print, compare; return the exit code: 0, 1 for a regression, or `NOT_RUN`.

    Args:
        is_update: store what was counted, for this minor version.
        commit: compare with this commit instead of the stored figures, on the same interpreter.
    """
    if shutil.which("valgrind") is None:
        print("Instructions were NOT counted: valgrind is not installed (on Debian: apt-get install valgrind)")
        return NOT_RUN
    how = instructions.described(python)
    version = instructions.minor(how["python"])
    counted = instructions.count(python)
    if is_update:
        _store(version, instructions.entry(counted, how))
    stored = _of_commit(python, commit, how) if commit else _stored().get(version)
    compared = instructions.compare(counted, stored or {})
    print(", ".join(f"{name} {value}" for name, value in how.items()))
    print(tables.aligned(instructions.table(counted, compared)))
    if not stored:
        print(f"Instructions were NOT compared: benchmarks/instructions.json has no figures for Python {version}")
        return NOT_RUN
    worse = [one.path for one in compared if one.is_worse]
    if worse:
        print(f"More than {(instructions.TOLERANCE - 1) * 100:.0f}% above the stored figure: {', '.join(worse)}.")
        print("If that is the price of something: python -m benchmarks count --update, and say so in the commit.")
    return 1 if worse else 0


def _of_commit(python: str, commit: str, how: Mapping[str, str]) -> dict[str, Any]:
    """Count another commit, with the paths that it had itself."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkout"
        git = ["git", "-C", str(CHECKOUT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(path), commit], check=True)
        try:
            return instructions.entry(instructions.count(python, path), how)
        finally:
            subprocess.run([*git, "remove", "--force", str(path)], check=True)


def _stored() -> dict[str, Any]:
    return json.loads(STORED.read_text()) if STORED.exists() else {}


def _store(version: str, entry: dict[str, Any]) -> None:
    stored = {**_stored(), version: entry}
    text = json.dumps(dict(sorted(stored.items(), key=lambda item: int(item[0].split(".")[1]))), indent=1)
    STORED.write_text(text + "\n")
    print(f"Stored in {STORED.relative_to(CHECKOUT)}", file=sys.stderr)
