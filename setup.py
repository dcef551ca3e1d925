"""Compile the hot modules, where that can be done: each module with a `.pxd` file beside it.

All of them or none: they know each other's layout. Without Cython or a C compiler, or with UVICORN_PURE=1, the package
is installed as the Python source that it is. `uvicorn --version` tells which variant runs.
"""

from __future__ import annotations

import os
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

PACKAGE = Path("uvicorn")
IS_PURE = os.environ.get("UVICORN_PURE", "") not in ("", "0")
#: What the compiled modules must have in common with the source that runs uncompiled: types come from the .pxd files
#: alone, and a mistake raises instead of reading wild memory.
DIRECTIVES = {
    "language_level": 3,
    "annotation_typing": False,
    "auto_pickle": False,
    "nonecheck": True,
}


class BuildAll(build_ext):
    """Build every extension, or leave none behind."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count() or 1
        self.force = True  # declarations are shared: a change in one file may change the code of others

    def run(self) -> None:
        is_inplace = bool(self.inplace)
        if is_inplace:
            remove_compiled()  # also of modules that are compiled no more
        try:
            self._translate()
            super().run()
            for path in self._built(is_inplace):
                os.utime(path)  # one time for all, or a module that was built first would look outdated
        except (Exception, SystemExit) as error:
            self.warn(f"nothing is compiled, the package is installed as pure Python: {error}")
            for path in self._built(is_inplace):
                path.unlink()
            self.extensions = self.distribution.ext_modules = []

    def _translate(self) -> None:
        """Have Cython write the C files."""
        from Cython.Build import cythonize

        translated = cythonize(
            self.extensions,
            build_dir="build/cython",
            compiler_directives=DIRECTIVES,
            nthreads=self.parallel,
            force=True,
        )
        sources = {extension.name: extension.sources for extension in translated}
        for extension in self.extensions:
            extension.sources = sources[extension.name]

    def _built(self, is_inplace: bool) -> list[Path]:
        names = [self.get_ext_fullname(extension.name) for extension in self.extensions]
        files = [Path(self.build_lib, self.get_ext_filename(name)) for name in names]
        if is_inplace:
            files += [Path(self.get_ext_filename(name)) for name in names]
        return [path for path in files if path.exists()]


def hot_modules() -> list[Extension]:
    sources = sorted(path.with_suffix(".py") for path in PACKAGE.rglob("*.pxd"))
    return [
        Extension(".".join(path.with_suffix("").parts), [str(path)], extra_compile_args=["-O2", "-g0"])
        for path in sources
        if path.exists()
    ]


def remove_compiled() -> None:
    """Remove what an earlier "pip install -e" has left."""
    for path in PACKAGE.rglob(f"*{EXTENSION_SUFFIXES[0]}"):
        path.unlink()


if IS_PURE:
    remove_compiled()

setup(ext_modules=[] if IS_PURE else hot_modules(), cmdclass={"build_ext": BuildAll})
