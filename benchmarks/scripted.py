"""What the scripts have measured, as tables of the page: `scripts/group-costs --store`."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.environments import CHECKOUT
from benchmarks.machine import describe

__all__ = ["load", "parts", "store"]

_FOLDER = CHECKOUT / "benchmarks" / "results" / "scripts"


def store(name: str, title: str, command: str, tables: Mapping[str, Sequence[Sequence[str]]], remarks: str) -> None:
    """Store what a script has measured.

    Args:
        name: of the file.
        title: of the part of the page.
        tables: title -> rows, the first of which is the heading.
        remarks: what the tables do not say, as Markdown.
    """
    _FOLDER.mkdir(exist_ok=True)
    found = {
        "title": title,
        "command": command,
        "date": str(date.today()),
        "machine": describe(platform.python_version()),
        "tables": tables,
        "remarks": remarks,
    }
    (_FOLDER / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")


def load(folder: Path = _FOLDER) -> list[dict[str, Any]]:
    """Return what is stored, by the names of the files."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def parts(stored: Mapping[str, Any]) -> list[str]:
    """Return a part of the page, in paragraphs."""
    machine = stored["machine"]
    found = [f"## {stored['title']}", stored["remarks"]]
    for title, rows in stored["tables"].items():
        heading, *rest = rows
        lines = [heading, ["---"] * len(heading), *rest]
        found += [f"**{title}**", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    on = f"{machine['processor']}, {machine['system']}, Python {machine['python']}, commit {machine['commit']}"
    return [*found, f"By `{stored['command']}`, on {stored['date']}: {on}."]
