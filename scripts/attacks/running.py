"""Start servers and proxies, in a folder of their own, and end them by their process ids."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent.parent / "tests"))

from ports import free_port  # noqa: E402

__all__ = ["HERE", "THREADS", "free_port", "served", "started"]

THREADS = 8  # of the pool of what is served
_PATIENCE_SECONDS = 120.0  # what a busy machine may take


@contextlib.contextmanager
def started(words: list[str], port: int, log: Path) -> Iterator[int]:
    """Run a program that will listen on this port; yield its process id. Its log is shown if it does not.

    Raises: OSError.
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith("UVICORN_")}
    with log.open("wb") as output:
        process = subprocess.Popen(words, cwd=log.parent, env=variables, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), 5):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise OSError(f"{words[0]} does not listen:\n{log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.02)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def served(application: str, folder: Path, *options: str) -> Iterator[tuple[int, int, Path]]:
    """Serve an application of this folder with one worker; yield port, the worker's process id, and the log."""
    port, log = free_port(), folder / "server.log"
    words = [sys.executable, "-m", "uvicorn", "--no-control-socket", "--pythonpath", str(HERE)]
    words += ["--threads", str(THREADS), "-b", f"127.0.0.1:{port}", *options, application]
    with started(words, port, log) as master:
        yield port, _worker(master), log


def _worker(master: int) -> int:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.05)
    os.kill(master, signal.SIGTERM)
    raise OSError("no worker")
