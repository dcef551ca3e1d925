"""`install`: `import channels` finds this package.

A finder in front of all others answers for `channels` and what is below it, and gives the very modules of
`uvicorn.channels1`: a class has one identity, whichever way it was imported.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Final

from uvicorn.errors import StartupError

__all__ = ["install", "is_installed"]

_NAME: Final = "channels"
_OURS: Final = "uvicorn.channels1"
#: modules of Channels 1 that are not there -> what to do instead
_GONE: Final = {
    "delay.migrations": "the layer keeps delayed messages, and no table does",
    "delay.models": "the layer keeps delayed messages, and no table does",
    "delay.worker": "the layer keeps delayed messages, without a process of its own",
    "hacks": "Django is not changed",
    "log": "the server logs, as Gunicorn's settings say",
    "package_checks": "there is nothing to check",
    "test.liveserver": "start `uvicorn --channels1` with the settings of the test",
    "worker": "`uvicorn --channels1` runs the consumers, in its threads",
}
#: names in Channels 1 that have another one here
_OTHERS: Final = {"tests": "test"}
#: the layer of tests, where it was: asgiref has it no more
_MEMORY: Final = "asgiref.inmemory"


def install() -> None:
    """Have `import channels` find this package, with all that is below it.

    Idempotent. Call it before the first such import: at the top of `manage.py`, or of a module that is served.

    Raises: StartupError if another package of this name is installed, or imported; Channels 1 itself is none.
    """
    if is_installed():
        return
    _refuse_others()
    for name in [name for name in sys.modules if name.partition(".")[0] == _NAME]:
        del sys.modules[name]
    sys.meta_path.insert(0, _Finder())
    importlib.import_module(_NAME)


def is_installed() -> bool:
    """Whether `import channels` finds this package."""
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)


def _refuse_others() -> None:
    try:
        version = importlib.metadata.version(_NAME)
    except importlib.metadata.PackageNotFoundError:
        version = ""
    if version.partition(".")[0] in ("0", "1"):
        return
    if version:
        raise StartupError(
            f"channels {version} is installed, and --channels1 is for projects of Channels 1: leave the option away, "
            "or uninstall channels"
        )
    found = PathFinder.find_spec(_NAME)
    if found is not None and found.origin is not None:
        raise StartupError(
            f"there is another package called channels, {found.origin}, and --channels1 needs this name: rename it, or "
            "leave the option away and import from uvicorn.channels1"
        )


class _Finder(MetaPathFinder):
    """What finds `channels` and the modules in it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how a module is imported; None if it is none of ours."""
        if fullname == _MEMORY:
            return ModuleSpec(fullname, _Loader(f"{_OURS}.memory"))
        name, _, rest = fullname.partition(".")
        if name != _NAME:
            return None
        if rest:
            first, dot, more = rest.partition(".")
            rest = f".{_OTHERS.get(first, first)}{dot}{more}"
        found = importlib.util.find_spec(_OURS + rest)
        if found is None:
            reason = _GONE.get(rest[1:])
            if reason is None:
                return None
            raise ModuleNotFoundError(f"{fullname} is not there: {reason}", name=fullname)
        return ModuleSpec(
            fullname,
            _Loader(_OURS + rest),
            origin=found.origin,
            is_package=found.submodule_search_locations is not None,
        )


class _Loader(Loader):
    """What gives a module of ours under another name.

    Args:
        name: of the module of ours.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module of ours."""
        module = importlib.import_module(self._name)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: it has run. What the import has written into it is put back."""
        module.__spec__ = self._spec
