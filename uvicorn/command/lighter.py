"""Gunicorn's `util`, imported without what it wants of `importlib.metadata`.

That reads a package's version, for an entry point as the name of a class: hardly any server has one. With all that it
imports (csv, zipfile, email.message, importlib.resources) it is a sixteenth of a start, and most of a MiB.

Applications say `import importlib` and use `importlib.metadata`, which works since Gunicorn has imported that. So it is
imported for them when they do.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any, Final

__all__ = ["import_gunicorn"]

_NAME: Final = "importlib.metadata"
_BROUGHT: Final = ("abc", "metadata", "resources")  # what is in `importlib` after its import


class _Later(types.ModuleType):
    """A module in place of the one of this name, which is imported when it is asked for something."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(_NAME) is self:
            del sys.modules[_NAME]
        return getattr(importlib.import_module(_NAME), name)


def import_gunicorn() -> None:
    """Import `gunicorn.util`; only while that lasts does `_Later` stand where others look, and serves them as well.

    From then on `importlib` has what it would have, when it is asked for it.
    """
    if _NAME not in sys.modules and "gunicorn.util" not in sys.modules:
        later = sys.modules[_NAME] = _Later(_NAME)
        try:
            importlib.import_module("gunicorn.util")
        finally:
            if sys.modules.get(_NAME) is later:
                del sys.modules[_NAME]
            vars(importlib).setdefault("__getattr__", _submodule)


def _submodule(name: str) -> Any:
    """Import a module of `importlib` that is asked for as an attribute. Raises: AttributeError."""
    if name in _BROUGHT:
        return importlib.import_module(f"importlib.{name}")
    raise AttributeError(f"module 'importlib' has no attribute {name!r}")
