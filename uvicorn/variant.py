"""Which variant of the hot modules runs: compiled, or the Python source that it was made of.

Each module with a `.pxd` file beside it is compiled when the package is installed: all of them, or none (`setup.py`).
Both files lie side by side, and Python's import takes the compiled one. `choose` runs before any other module of the
package is imported, and has the import take the source instead if `UVICORN_PURE` is set, or if a source file was
changed since: the modules know each other's layout, so old and new ones must not be mixed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
)
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

__all__ = ["choose", "described", "is_compiled"]

_PACKAGE = Path(__file__).parent
_reason = ""  # why the source is taken though compiled modules are there


def choose() -> None:
    """Decide which variant is imported from now on."""
    global _reason
    if os.environ.get("UVICORN_PURE", "") not in ("", "0"):
        _reason = "UVICORN_PURE is set"
    elif (_PACKAGE.parent / "setup.py").exists() and _is_outdated(_PACKAGE):  # a checkout: somebody may edit
        _reason = "a source file is newer than what was compiled: install again"
    if _reason:
        sys.meta_path.insert(0, _SourceFinder)


def is_compiled() -> bool:
    """Whether the hot modules are compiled ones."""
    spec = find_spec("uvicorn.wire.encoder")  # one tells for all
    return spec is not None and isinstance(spec.loader, ExtensionFileLoader)


def described() -> str:
    """Return what runs, for people: "compiled", or "pure Python" and why."""
    if is_compiled():
        return "compiled"
    return f"pure Python: {_reason}" if _reason else "pure Python"


def _is_outdated(package: Path) -> bool:
    """Whether a module's source, or its declarations, are newer than one of the compiled modules."""
    compiled = list(package.glob(f"*/*{EXTENSION_SUFFIXES[0]}"))  # this interpreter's
    named = [path.with_name(path.name.partition(".")[0]) for path in compiled]
    sources = [path.with_suffix(suffix) for path in named for suffix in (".py", ".pxd")]
    changed = [path.stat().st_mtime for path in sources if path.exists()]  # declarations are not installed
    return bool(changed) and max(changed) > min(path.stat().st_mtime for path in compiled)


class _SourceFinder:
    """A finder that takes the source of the package's modules, as if nothing had been compiled."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if path is None or not name.startswith("uvicorn."):
            return None
        for folder in path:
            spec = FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES)).find_spec(name)
            if spec is not None:
                return spec
        return None
