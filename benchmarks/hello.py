"""Compare a small page on both sides with two peers, side by side in one run.

    python benchmarks/hello.py [--rounds 7] [--seconds 3] [--connections 50]

Makes two virtual environments (this checkout; the peers at their newest releases), starts all servers with one
worker each, checks every server's answer, and then measures them in turn, round by round, with wrk. Servers share
one core, wrk has another (taskset). Read the ratios: the absolute figures are the machine's, and its neighbours'.

Needs wrk and taskset, and pip that can install packages.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
RELEASED = "bin/uvicorn --loop uvloop --http httptools --no-access-log --port {port}"
GUNICORN = "bin/{} --no-control-socket --threads 40 -b 127.0.0.1:{{port}}"

# name -> (which environment, command; {port} is filled in)
SERVERS = {
    "asynchronous": ("ours", f"{GUNICORN.format('uvicorn')} pages:asynchronous"),
    "synchronous": ("ours", f"{GUNICORN.format('uvicorn')} pages:synchronous"),
    "released uvicorn": ("peers", f"{RELEASED} pages:asgi"),
    "gunicorn gthread": ("peers", f"{GUNICORN.format('gunicorn')} -k gthread pages:wsgi"),
}
RATIOS = (("asynchronous", "released uvicorn"), ("synchronous", "gunicorn gthread"), ("synchronous", "asynchronous"))


def main() -> None:
    """Measure, and print medians and ratios."""
    parser = argparse.ArgumentParser(description="Compare a small page with two peers.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        environments = {"ours": make_environment(Path(folder) / "ours", str(HERE.parent))}
        environments["peers"] = make_environment(Path(folder) / "peers", "uvicorn", "uvloop", "httptools", "gunicorn")
        ports = {name: start(stack, environments[kind], command) for name, (kind, command) in SERVERS.items()}
        results: dict[str, list[float]] = {name: [] for name in SERVERS}
        for _ in range(options.rounds):
            for name, port in ports.items():
                results[name].append(measure(port, options))
    python = sys.version.split()[0]
    print(f"Python {python}, {options.connections} connections, {options.rounds} rounds of {options.seconds} s")
    for name, rates in results.items():
        print(f"{name:18} {statistics.median(rates):9.0f} requests/s  ({min(rates):.0f} to {max(rates):.0f})")
    for ours, theirs in RATIOS:
        pairs = [a / b for a, b in zip(results[ours], results[theirs], strict=True)]
        print(f"{ours} / {theirs}: {statistics.median(pairs):.2f}  ({min(pairs):.2f} to {max(pairs):.2f})")


def make_environment(path: Path, *packages: str) -> Path:
    """Make a virtual environment with these packages."""
    venv.create(path, with_pip=True)
    subprocess.run([path / "bin/pip", "install", "--quiet", "--upgrade", *packages], check=True)
    return path


def start(stack: contextlib.ExitStack, environment: Path, command: str) -> int:
    """Start a server, and return its port when it has answered rightly."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    words = command.format(port=port).split()
    server = subprocess.Popen(
        ["taskset", "-c", "0", str(environment / words[0]), *words[1:], "--log-level", "warning"], cwd=HERE
    )
    stack.callback(server.wait)
    stack.callback(server.terminate)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/")
            response = connection.getresponse()
            if (response.status, response.read()) != (200, b"Hello, world!"):
                raise SystemExit(f"wrong answer from {command}")
            return port
        time.sleep(0.1)
    raise SystemExit(f"no answer from {command}")


def measure(port: int, options: argparse.Namespace) -> float:
    """Return requests per second; every answer must be right."""
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}"]
    output = subprocess.run([*command, f"http://127.0.0.1:{port}/"], check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(output)
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert found is not None
    return float(found.group(1))


if __name__ == "__main__":
    main()
