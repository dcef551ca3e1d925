"""Every test has an end: one that hangs is ended and named, and no thread of a test keeps pytest from its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from patience import NEVER_SECONDS, PATIENCE_SECONDS

TESTS = Path(__file__).resolve().parent
HANGING = """
import threading
import pytest

@pytest.mark.timeout(1, func_only=True)
def test_hangs():
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    # By turns: a process that was stopped meanwhile may get the signal in its other thread, and nothing wakes this one.
    while not threading.Event().wait(0.5):
        pass

def test_comes_after_it():
    pass
"""
LEAVING = """
import threading
import patience

patience.PATIENCE_SECONDS = 0.1
GATE = threading.Event()

def test_leaves_a_thread():
    threading.Thread(target=GATE.wait, name="left-behind").start()

def test_lets_it_end():
    GATE.set()
"""


def run_pytest(folder, text, *args):
    """Run pytest with our settings on a file of its own; return what it wrote."""
    (folder / "test_it.py").write_text(text)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-c",
            TESTS.parent / "setup.cfg",
            "--rootdir",
            folder,
            "-p",
            "conftest",
            "-p",
            "no:randomly",
            "-p",
            "no:cacheprovider",
            *args,
            folder / "test_it.py",
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("processes", ["0", "2"])
def test_a_test_that_hangs_is_ended_and_named_and_the_others_go_on(tmp_path, processes):
    # The others have the time of all tests: one second might end on a busy machine before they do.
    said = run_pytest(tmp_path, HANGING, "--numprocesses", processes)

    [named] = [line for line in said.splitlines() if line.startswith("FAILED ")]
    assert "test_it.py::test_hangs" in named
    assert "Timeout (>1.0s)" in named
    assert "1 failed, 1 passed" in said


def test_a_test_that_leaves_a_thread_which_python_waits_for_fails(tmp_path):
    said = run_pytest(tmp_path, LEAVING)

    assert "left-behind" in said
    assert "is no daemon, and has not ended" in said
    assert "2 passed, 1 error" in said


def test_the_patience_of_a_test_ends_before_pytest_s_own(pytestconfig):
    assert 2 * PATIENCE_SECONDS < float(pytestconfig.getini("timeout")) < NEVER_SECONDS
