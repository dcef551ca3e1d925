"""Serve the example with the `uvicorn` of this interpreter, ask for one page of each kind, and stop.

Exits with 1, and the server's log, if an answer is wrong; with `--compiled` also if the hot modules are not compiled.
"""

from __future__ import annotations

import http.client
import os
import platform
import re
import subprocess
import sys
import threading

PAGE = b"Hello, world!\n"
PATIENCE_SECONDS = 120.0  # for one server, on a busy machine; when all is well nothing waits that long
EXAMPLES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "examples")


def main() -> int:
    """Return the exit code."""
    shown = [sys.executable, "-m", "uvicorn", "--version"]
    version = subprocess.run(shown, cwd=EXAMPLES, capture_output=True, text=True, check=True).stdout.strip()
    if "--compiled" in sys.argv[1:] and not version.endswith(", compiled"):
        print(f"not compiled: {version}", file=sys.stderr)
        return 1
    for consumer in ("hello_world", "hello_async"):
        answer, code, log = _serve(consumer)
        if answer != (200, PAGE) or code:
            print(f"{consumer}: answer {answer}, exit code {code}\n{log}", file=sys.stderr)
            return 1
    print(f"Python {platform.python_version()} serves both kinds of consumers: {version}")
    return 0


def _serve(consumer: str) -> tuple[tuple[int, bytes] | None, int, str]:
    """Serve one page; return the answer, the server's exit code and its log."""
    options = ["--no-control-socket", "-b", "127.0.0.1:0"]  # a port that the kernel gives to nobody else
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", *options, "--chdir", EXAMPLES, f"hello:{consumer}"],
        cwd=EXAMPLES,  # not a checkout: the installed package is to be served with
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    end = threading.Timer(PATIENCE_SECONDS, server.kill)
    end.start()
    log, answer = "", None
    try:
        for line in server.stderr:
            log += line
            if found := re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", line):
                answer = _ask(int(found[1]))
                break
    finally:
        server.terminate()
        log += server.communicate()[1]
        end.cancel()
    return answer, server.returncode, log


def _ask(port: int) -> tuple[int, bytes] | None:
    """Return status and content; None if there are none. What comes before a worker has started waits for it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        return response.status, response.read()
    except OSError:
        return None
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
