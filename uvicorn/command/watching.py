"""Which files are watched in development, and which of them have changed. Knows no threads.

Watched are the files below some folders whose names match: Python's, and templates. Folders that hold what nobody edits
are left out: hidden ones, caches, virtual environments. Beside them single files are watched, wherever they are: the
application's modules that were imported from elsewhere, and what Gunicorn's `reload_extra_files` names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property
from typing import Final, TypeAlias

__all__ = ["Rules", "Snapshot", "stale_bytecode"]

_INCLUDED: Final = ("*.py", "*.html", "*.htm", "*.djhtml", "*.jinja", "*.jinja2", "*.j2")
_EXCLUDED: Final = (".*", "*.py[cod]", "*.sw?", "*~", "__pycache__", "node_modules", "site-packages")
_ENVIRONMENT: Final = "pyvenv.cfg"  # what is in each virtual environment

_State: TypeAlias = "tuple[int, int, int]"


@dataclass(frozen=True)
class Rules:
    """What is watched.

    Attributes:
        folders: with all that is below them.
        includes: globs for names or paths, beside those of Python files and templates. A folder is watched itself.
        excludes: globs for names or paths of files and folders, beside the usual ones. They go before.
        templates: folders whose files are all watched, whatever their names.
    """

    folders: tuple[str, ...]
    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()

    def roots(self) -> list[str]:
        """Return the folders that are there, each once, absolute."""
        given = [*self.folders, *(item for item in self.includes if os.path.isdir(item)), *self.templates]
        return [*dict.fromkeys(os.path.abspath(folder) for folder in given if os.path.isdir(folder))]

    def files(self) -> Iterator[str]:
        """Yield the paths of the files that are watched. One that is below two of the folders comes twice."""
        templates = tuple(os.path.abspath(folder) + os.sep for folder in self.templates)
        for root in self.roots():
            for path in self._below(root):
                if (path.startswith(templates) or self._included(path)) and not self._excluded(path):
                    yield path

    def _below(self, folder: str) -> Iterator[str]:
        folders = [folder]
        while folders:
            try:
                entries = [*os.scandir(folders.pop())]
            except OSError:  # it has gone, or is not ours
                continue
            if any(entry.name == _ENVIRONMENT for entry in entries):
                continue
            for entry in entries:
                try:
                    is_folder = entry.is_dir(follow_symlinks=False)
                except OSError:
                    continue
                if not is_folder:
                    yield entry.path
                elif not self._excluded(entry.path):
                    folders.append(entry.path)

    @cached_property
    def _included(self) -> Callable[[str], object]:
        return _matcher(_INCLUDED + self.includes)

    @cached_property
    def _excluded(self) -> Callable[[str], object]:
        return _matcher(_EXCLUDED + self.excludes)


class Snapshot:
    """The states of all watched files, at the last look.

    Args:
        more: returns paths of single files.
    """

    def __init__(self, rules: Rules, more: Callable[[], Iterable[str]] = tuple) -> None:
        self.rules = rules
        self._more = more
        self._states: dict[str, _State] = {}
        self._found: set[str] = set()  # those that are watched because of their folder
        self._look()

    def changes(self) -> list[str]:
        """Look again; return the paths of files that were changed, made or removed since the last look.

        A single file is not new when it is named for the first time: its module was imported just now.
        """
        before = self._states
        self._look()
        changed = [
            path
            for path, state in self._states.items()
            if before.get(path, None if path in self._found else state) != state
        ]
        return changed + [path for path in before if path not in self._states and not os.path.exists(path)]

    def watch(self, rules: Rules) -> None:
        """Watch other folders; what is there already is no change, but for what was watched before and has changed."""
        before = self._states
        self.rules = rules
        self._look()
        self._states.update(before)

    def _look(self) -> None:
        self._states, self._found = {}, set()
        for path in self.rules.files():
            self._keep(path)
            self._found.add(path)
        for path in self._more():
            self._keep(path)

    def _keep(self, path: str) -> None:
        if path not in self._states:
            try:
                found = os.stat(path)
            except OSError:
                return
            # Not the time alone: an editor may put another file in the place of the old one.
            self._states[path] = (found.st_mtime_ns, found.st_size, found.st_ino)


def stale_bytecode(paths: Iterable[str]) -> None:
    """Remove the compiled code of these files.

    Python takes it for that of the source if size and second are the same: what is saved twice in one second would be
    served as it was the first time.
    """
    from importlib.util import cache_from_source

    for path in paths:
        if path.endswith(".py"):
            try:
                os.unlink(cache_from_source(path))
            except (OSError, NotImplementedError):
                pass


def _matcher(globs: Iterable[str]) -> Callable[[str], object]:
    """Return what tells whether one of these globs is that of a path: of its name, or, with a "/", of its end."""
    given = [glob.removeprefix("./") for glob in globs]
    names = re.compile("|".join(translate(glob) for glob in given if "/" not in glob) or "(?!)").match
    paths = [re.compile("(?:.*/)?" + translate(glob), re.DOTALL).match for glob in given if "/" in glob]

    def matches(path: str) -> object:
        return names(os.path.basename(path)) or any(match(path) for match in paths)

    return matches
