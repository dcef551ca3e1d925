"""Serve the example with the `uvicorn` of this interpreter, ask for one page of each kind, and stop.

Exits with 1, and the server's log, if an answer is wrong; with `--compiled` also if the hot modules are not compiled.
"""

from __future__ import annotations

import http.client
import os
import platform
import socket
import subprocess
import sys
import time

PAGE = b"Hello, world!\n"
EXAMPLES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "examples")


def main() -> int:
    """Return the exit code."""
    shown = [sys.executable, "-m", "uvicorn", "--version"]
    version = subprocess.run(shown, cwd=EXAMPLES, capture_output=True, text=True, check=True).stdout.strip()
    if "--compiled" in sys.argv[1:] and not version.endswith(", compiled"):
        print(f"not compiled: {version}", file=sys.stderr)
        return 1
    for consumer in ("hello_world", "hello_async"):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        options = ["--no-control-socket", "-b", f"127.0.0.1:{port}"]
        server = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", *options, "--chdir", EXAMPLES, f"hello:{consumer}"],
            cwd=EXAMPLES,  # not a checkout: the installed package is to be served with
            stderr=subprocess.PIPE,
        )
        try:
            answer = _ask(port)
        finally:
            server.terminate()
            _, log = server.communicate(timeout=30)
        if answer != (200, PAGE) or server.returncode:
            print(f"{consumer}: answer {answer}, exit code {server.returncode}\n{log.decode()}", file=sys.stderr)
            return 1
    print(f"Python {platform.python_version()} serves both kinds of consumers: {version}")
    return 0


def _ask(port: int) -> tuple[int, bytes] | None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            return response.status, response.read()
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    return None


if __name__ == "__main__":
    sys.exit(main())
