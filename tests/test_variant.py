"""Which variant of the hot modules is imported, and what is said about it."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from patience import PATIENCE_SECONDS

import uvicorn
from uvicorn import variant

PACKAGE = Path(uvicorn.__file__).parent
DECLARED = sorted(PACKAGE.rglob("*.pxd"))
SHOW = "from uvicorn import variant; from uvicorn.wire import encoder; print(variant.described(), encoder.__file__)"


def shown(folder=None, **environment):
    """Return what a fresh interpreter says of itself."""
    environment = {**os.environ, **environment}
    if folder is not None:
        environment["PYTHONPATH"] = str(folder)
    command = [sys.executable, "-c", SHOW]
    return subprocess.check_output(command, text=True, env=environment, timeout=PATIENCE_SECONDS, cwd=folder).strip()


@pytest.fixture
def checkout(tmp_path):
    """Make a copy of the package, with what is compiled of it, in a folder that looks like a checkout."""
    # Not the bytecode: other tests' servers may write it just now, each file under another name first.
    shutil.copytree(PACKAGE, tmp_path / "uvicorn", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "setup.py").touch()
    compiled = list(tmp_path.rglob(f"*{EXTENSION_SUFFIXES[0]}"))
    if not compiled:
        pytest.skip("nothing is compiled here")
    now = max(path.stat().st_mtime for path in tmp_path.rglob("*.p*"))
    for path in compiled:
        os.utime(path, (now + 10, now + 10))
    return tmp_path


def test_the_source_is_taken_if_the_environment_says_so(checkout):
    expected = f"pure Python: UVICORN_PURE is set {checkout}/uvicorn/wire/encoder.py"
    assert shown(checkout, UVICORN_PURE="1") == expected


@pytest.mark.parametrize("value", ["", "0"])
def test_compiled_modules_are_taken_otherwise(checkout, value):
    assert shown(checkout, UVICORN_PURE=value).startswith("compiled ")


@pytest.mark.parametrize("suffix", [".py", ".pxd"])
def test_an_edited_file_of_a_checkout_is_not_hidden_by_what_was_compiled_of_it(checkout, suffix):
    edited = checkout / f"uvicorn/wire/encoder{suffix}"
    if not edited.exists():
        pytest.skip("declarations are not installed")
    later = max(path.stat().st_mtime for path in checkout.rglob("*.so")) + 10
    os.utime(edited, (later, later))
    assert shown(checkout, UVICORN_PURE="") == (
        f"pure Python: a source file is newer than what was compiled: install again {checkout}/uvicorn/wire/encoder.py"
    )


def test_what_is_installed_is_not_looked_at_again(checkout):
    (checkout / "setup.py").unlink()
    os.utime(checkout / "uvicorn/wire/encoder.py")
    assert shown(checkout, UVICORN_PURE="").startswith("compiled ")


def test_nothing_is_said_of_a_reason_where_nothing_was_compiled(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "uvicorn", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    (tmp_path / "setup.py").touch()
    assert shown(tmp_path, UVICORN_PURE="") == f"pure Python {tmp_path}/uvicorn/wire/encoder.py"


def test_all_declared_modules_are_of_the_same_variant():
    names = [".".join(("uvicorn", *path.relative_to(PACKAGE).with_suffix("").parts)) for path in DECLARED]
    files = [importlib.import_module(name).__file__ for name in names]
    assert {file.endswith(EXTENSION_SUFFIXES[0]) for file in files} <= {variant.is_compiled()}


@pytest.fixture
def sources(tmp_path):
    """Make a copy of what is built, with the two smallest hot modules only, so that it does not take long."""
    pytest.importorskip("Cython")
    root = Path(__file__).parent.parent
    left_out = shutil.ignore_patterns("*.so", "*.pxd", "__pycache__")
    shutil.copytree(root / "uvicorn", tmp_path / "uvicorn", ignore=left_out)
    for name in ("setup.py", "setup.cfg", "README.md", "uvicorn/connections/turns.pxd", "uvicorn/bridge/tally.pxd"):
        shutil.copy(root / name, tmp_path / name)
    return tmp_path


def build(folder, **environment):
    """Build in place; return what is compiled then, and what was said."""
    environment = {**os.environ, "UVICORN_PURE": "", **environment}
    command = [sys.executable, "setup.py", "build_ext", "--inplace"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return sorted(path.name.partition(".")[0] for path in (folder / "uvicorn").rglob("*.so")), done.stdout + done.stderr


@pytest.mark.slow
def test_a_compiler_that_fails_leaves_the_source_and_nothing_of_an_earlier_build(sources):
    compiled, said = build(sources)
    assert compiled in (["tally", "turns"], []), said  # nothing where there is no compiler
    compiled, said = build(sources, CC="false")
    assert compiled == []
    assert "nothing is compiled, the package is installed as pure Python" in said


@pytest.mark.slow
def test_nothing_is_compiled_if_the_environment_says_so(sources):
    (sources / f"uvicorn/bridge/tally{EXTENSION_SUFFIXES[0]}").touch()
    assert build(sources, UVICORN_PURE="1")[0] == []
