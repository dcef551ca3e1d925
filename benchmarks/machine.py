"""What a result was measured on."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

from benchmarks.environments import CHECKOUT

__all__ = ["describe"]


def describe(python_version: str) -> dict[str, str]:
    """Return the facts that a reader needs to judge the figures: name -> text."""
    processor = _first(Path("/proc/cpuinfo"), r"model name\s*:\s*(.+)")
    system = _first(Path("/etc/os-release"), r'PRETTY_NAME="?([^"\n]+)')
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": f"{processor}, {os.cpu_count()} cores",
        "memory": f"{memory:.1f} GiB",
        "system": f"{system}, Linux {platform.release()}",
        "python": python_version,
        "wrk": _wrk_version(),
        "commit": _commit(),
    }


def _first(path: Path, pattern: str) -> str:
    found = re.search(pattern, path.read_text()) if path.exists() else None
    return found[1].strip() if found else "unknown"


def _wrk_version() -> str:
    printed = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False).stdout
    return " ".join(printed.split()[1:2]) or "unknown"


def _commit() -> str:
    """Return the commit of this checkout, and whether files differ from it."""
    command = ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty", "--abbrev=12"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
