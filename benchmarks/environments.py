"""Virtual environments: ours from this checkout, the peers at their newest releases.

They are kept in a folder between runs, since building them takes longer than most scenarios. What does not build is
left out, and said so; the build is tried again in the next run.
"""

from __future__ import annotations

import configparser
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

__all__ = ["CHECKOUT", "Environments", "Missing", "compile_checkout"]

CHECKOUT = Path(__file__).resolve().parent.parent
_OURS = "ours"
_BUILD = ("Cython>=3.1,<4", "setuptools>=68")  # the hot modules are compiled in the checkout
_OURS_DJANGO = "ours-django"
_OURS_FRAMEWORKS = "ours-frameworks"
_FRAMEWORKS = ("fastapi", "starlette", "django")
# name -> what `pip install` is called with, one call after the other
_INSTALLED: dict[str, tuple[tuple[str, ...], ...]] = {
    "peers": (
        ("uvicorn", "uvloop", "httptools", "websockets", "starlette", "a2wsgi", "granian", "gunicorn", "hypercorn"),
        # Gunicorn's parser in C. As an extra, "gunicorn[fast]", it may bring an older Gunicorn with it.
        ("gunicorn_h1c",),
    ),
    "django": (("uvicorn", "uvloop", "httptools", "gunicorn", "django"),),
    "fastpysgi": (("fastpysgi",),),
    "frameworks": (("uvicorn", "uvloop", "httptools", "granian", "hypercorn", *_FRAMEWORKS),),
    "bjoern": (("bjoern",),),  # needs a C compiler and Debian's libev-dev
    # The release asks for a greenlet that compiles on no supported Python; it works with today's.
    "meinheld": (("greenlet",), ("--no-deps", "meinheld")),
    "draw": (("matplotlib",),),
}


class Missing(Exception):
    """An environment cannot be made; the text says why."""


class Environments:
    """Make environments when they are asked for.

    Args:
        folder: where they are kept.
        python: the interpreter that they are made with.
        is_fresh: look for newer releases in those that are there.
    """

    def __init__(self, folder: Path, python: str = sys.executable, is_fresh: bool = False) -> None:
        self.python = python
        self.version = _output([python, "-c", "import platform; print(platform.python_version())"])
        self._folder = folder / f"python-{self.version}"
        self._is_fresh = is_fresh
        self._made: dict[str, Path | Missing] = {}

    def get(self, name: str) -> Path:
        """Return the folder of an environment, and make it if it is not there.

        Raises: Missing.
        """
        if name not in self._made:
            try:
                self._made[name] = self._make(name)
            except subprocess.CalledProcessError as error:
                self._made[name] = Missing(_reason(name, error))
        made = self._made[name]
        if isinstance(made, Missing):
            raise made
        return made

    def compile(self, checkouts: Iterable[Path]) -> None:
        """Compile our package in these checkouts, for the environment that serves it."""
        for checkout in checkouts:
            compile_checkout(str(self.get(_OURS) / "bin/python"), checkout)

    def versions(self) -> dict[str, dict[str, str]]:
        """Return what is installed in each environment in use: name -> package -> version."""
        return {name: _packages(path) for name, path in sorted(self._made.items()) if isinstance(path, Path)}

    def _make(self, name: str) -> Path:
        path = self._folder / name
        stamp = path / "complete"
        steps = {
            **_INSTALLED,
            _OURS: ((*_requirements(), *_BUILD),),
            _OURS_DJANGO: ((*_requirements(), *_BUILD, "django"),),
            _OURS_FRAMEWORKS: ((*_requirements(), *_BUILD, *_FRAMEWORKS),),
        }[name]
        wanted = json.dumps(steps)
        if stamp.exists() and stamp.read_text() == wanted and not self._is_fresh:
            return path
        print(f"Making the environment {name} in {path}", file=sys.stderr)
        stamp.unlink(missing_ok=True)
        _output([self.python, "-m", "venv", str(path)])
        for packages in steps:
            _output([str(path / "bin/python"), "-m", "pip", "install", "--quiet", "--upgrade", *packages])
        stamp.write_text(wanted)
        return path


def compile_checkout(python: str, checkout: Path = CHECKOUT) -> None:
    """Compile the hot modules of a checkout in place, for this interpreter; without Cython they stay uncompiled."""
    command = [python, "setup.py", "-q", "build_ext", "--inplace"]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{checkout} is not compiled: {done.stderr.strip()[-300:]}", file=sys.stderr)


def _requirements() -> list[str]:
    """Return what this package needs; the package itself is imported from the checkout, as it is just now."""
    setup = configparser.ConfigParser()
    setup.read(CHECKOUT / "setup.cfg")
    return setup["options"]["install_requires"].split()


def _packages(path: Path) -> dict[str, str]:
    listed = _output([str(path / "bin/python"), "-m", "pip", "list", "--format", "json"])
    return {
        package["name"]: package["version"]
        for package in json.loads(listed)
        if package["name"] not in ("pip", "setuptools", "wheel")
    }


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _reason(name: str, error: subprocess.CalledProcessError) -> str:
    lines = [line.strip() for line in error.stderr.splitlines() if "error:" in line.lower()]
    fatal = [line for line in lines if "fatal error" in line] or lines or error.stderr.strip().splitlines()[-1:]
    return f"the environment {name} cannot be made: {fatal[0] if fatal else error}"
