"""Compare an echo of WebSocket messages, and the memory of idle sockets, with peers, side by side in one run.

    python benchmarks/sockets.py [--rounds 7] [--seconds 3] [--sockets 100] [--size 32] [--idle 5000] [--only NAME ...]

Makes two virtual environments (this checkout; the peers at their newest releases) and starts all servers with one
worker each. Every socket sends a message, waits for its echo, checks its length, and sends the next. Servers share one
core, the client has another (taskset). Then each server, started anew, gets `--idle` sockets that say nothing: what its
process grows by is divided by their number. Read the ratios: the absolute figures are the machine's. On a machine that
others use, too, what a second of the server's own processor time brings says more than what a second does.

Needs taskset, uvloop for the client, and pip that can install packages.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import uvloop

HERE = Path(__file__).resolve().parent
RELEASED = "bin/uvicorn --loop uvloop --http httptools --ws {} --no-access-log --port {{port}} echoes:asgi"
OURS = "bin/uvicorn --no-control-socket --threads 40 --worker-connections 20000 -b 127.0.0.1:{{port}} echoes:{}"

# name -> (which environment, command; {port} is filled in)
SERVERS = {
    "asynchronous": ("ours", OURS.format("asynchronous")),
    "synchronous": ("ours", OURS.format("synchronous")),
    "released, websockets": ("peers", RELEASED.format("websockets")),
    "released, websockets-sansio": ("peers", RELEASED.format("websockets-sansio")),
    "released, wsproto": ("peers", RELEASED.format("wsproto")),
    "granian": (
        "peers",
        "bin/granian --interface asgi --loop uvloop --no-access-log --host 127.0.0.1 --port {port} echoes:asgi",
    ),
}
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%b\r\n"
)
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"


def make_environment(path: Path, *packages: str) -> Path:
    """Make a virtual environment with these packages."""
    venv.create(path, with_pip=True)
    subprocess.run([path / "bin/pip", "install", "--quiet", "--upgrade", *packages], check=True)
    return path


def start(stack: contextlib.ExitStack, environment: Path, command: str) -> int:
    """Start a server on one core, and return its port when it has answered rightly."""
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


class Client(asyncio.Protocol):
    """One socket. A mask of zeros is a mask: what is sent is made once."""

    def __init__(self, size: int, fields: bytes) -> None:
        length = (
            struct.pack("!B", 0x80 | size)
            if size < 126
            else (struct.pack("!BH", 0xFE, size) if size < 65536 else struct.pack("!BQ", 0xFF, size))
        )
        self.frame = b"\x82" + length + bytes(4) + b"x" * size
        self.expected = len(self.frame) - 4
        self.fields = fields
        self.missing = 0
        self.count = 0
        self.is_running = self.has_failed = False
        self.head = b""
        self.is_open = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(HANDSHAKE % self.fields)

    def data_received(self, data: bytes) -> None:
        if not self.is_open.done():
            self.head += data
            if self.head.endswith(b"\r\n\r\n"):
                if self.head.startswith(b"HTTP/1.1 101 "):
                    self.is_open.set_result(None)
                else:
                    self.transport.abort()
            return
        self.missing -= len(data)
        if self.missing == 0:
            self.count += 1
            if self.is_running:
                self.send()
        elif self.missing < 0:
            self.has_failed = True
            self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self.has_failed = self.has_failed or self.is_running
        if not self.is_open.done():
            self.is_open.set_exception(ConnectionError("no socket"))

    def send(self) -> None:
        self.missing = self.expected
        self.transport.write(self.frame)


async def connect(port: int, count: int, size: int = 1, fields: bytes = b"") -> list[Client]:
    """Open sockets, a hundred at a time."""
    loop = asyncio.get_running_loop()
    clients: list[Client] = []
    while len(clients) < count:
        made = [
            loop.create_connection(lambda: Client(size, fields), "127.0.0.1", port)
            for _ in range(min(100, count - len(clients)))
        ]
        batch = [protocol for _, protocol in await asyncio.gather(*made)]
        await asyncio.wait_for(asyncio.gather(*[client.is_open for client in batch]), 30)
        clients += batch
    return clients


async def echo(port: int, options: argparse.Namespace, pids: list[int]) -> tuple[float, float]:
    """Return echoes per second, and per second of the server's processor time.

    Both are 0 if a socket was lost, or got what it had not sent.
    """
    clients = await connect(port, options.sockets, options.size)
    for client in clients:
        client.is_running = True
        client.send()
    await asyncio.sleep(options.seconds / 10)
    before = sum(client.count for client in clients)
    start, used = asyncio.get_running_loop().time(), cpu_of(pids)
    await asyncio.sleep(options.seconds)
    count = sum(client.count for client in clients) - before
    rates = count / (asyncio.get_running_loop().time() - start), count / max(cpu_of(pids) - used, 0.01)
    if any(client.has_failed for client in clients):
        rates = 0.0, 0.0
    for client in clients:
        client.is_running = False
    await asyncio.sleep(0.2)
    for client in clients:
        client.transport.abort()
    await asyncio.sleep(0.1)
    return rates


def cpu_of(pids: list[int]) -> float:
    """Return the seconds of processor time that these processes have used."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(found[11]) + int(found[12]) for found in fields) / os.sysconf("SC_CLK_TCK")


async def hold(port: int, count: int, pids: list[int]) -> float:
    """Return the KiB that the server grew by for each idle socket whose client offers compression."""
    warm = await connect(port, 20)
    await asyncio.sleep(1)
    before = memory(pids)
    clients = await connect(port, count, fields=DEFLATE)
    await asyncio.sleep(2)
    grown = (memory(pids) - before) / count
    for client in warm + clients:
        client.transport.abort()
    return grown


def memory(pids: list[int]) -> int:
    """Return the resident KiB of these processes."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total


def children_of(pid: int) -> list[int]:
    """Return a process and all that it has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(found for child in children for found in children_of(int(child)))]


def main() -> None:
    """Measure, and print medians, ratios and memory."""
    parser = argparse.ArgumentParser(description="Compare an echo of WebSocket messages with peers.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--sockets", type=int, default=100)
    parser.add_argument("--size", type=int, default=32, help="bytes of a message")
    parser.add_argument("--idle", type=int, default=5000, help="idle sockets; 0 for no such measurement")
    parser.add_argument(
        "--only",
        nargs="+",
        default=SERVERS,
        choices=SERVERS,
        metavar="NAME",
        help=f"servers, beside the first, which all are compared with: {', '.join(SERVERS)}",
    )
    options = parser.parse_args()
    first = next(iter(SERVERS))
    servers = {name: found for name, found in SERVERS.items() if name == first or name in options.only}
    os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        environments = {"ours": make_environment(Path(folder) / "ours", str(HERE.parent))}
        environments["peers"] = make_environment(
            Path(folder) / "peers", "uvicorn", "uvloop", "httptools", "websockets", "wsproto", "granian"
        )
        ports, pids = {}, {}
        for name, (kind, command) in servers.items():
            before = set(children_of(os.getpid()))
            ports[name] = start(stack, environments[kind], command)
            pids[name] = [pid for pid in children_of(os.getpid()) if pid not in before]
        results: dict[str, list[tuple[float, float]]] = {name: [] for name in servers}
        for _ in range(options.rounds):
            for name, port in ports.items():
                try:
                    results[name].append(uvloop.run(echo(port, options, pids[name])))
                except OSError:
                    results[name].append((0.0, 0.0))
        stack.close()
        idle = {}
        for name, (kind, command) in servers.items() if options.idle else ():
            with contextlib.ExitStack() as one:
                before = set(children_of(os.getpid()))
                port = start(one, environments[kind], command)
                found = [pid for pid in children_of(os.getpid()) if pid not in before]
                idle[name] = uvloop.run(hold(port, options.idle, found))
    print(
        f"Python {sys.version.split()[0]}, {options.sockets} sockets, messages of {options.size} bytes, "
        f"{options.rounds} rounds of {options.seconds} s"
    )
    for at, unit in enumerate(("echoes/s", "echoes/s of the server's processor time")):
        for name, rates in results.items():
            found = [rate[at] for rate in rates]
            print(f"{name:28} {statistics.median(found):9.0f} {unit}  ({min(found):.0f} to {max(found):.0f})")
        for name, rates in results.items():
            pairs = [a[at] / b[at] for a, b in zip(results[first], rates, strict=True) if b[at]]
            if len(pairs) < options.rounds:
                print(f"{name} failed in {options.rounds - len(pairs)} of {options.rounds} rounds")
            if pairs:
                print(f"{first} / {name}: {statistics.median(pairs):.2f}  ({min(pairs):.2f} to {max(pairs):.2f})")
    for name, size in idle.items():
        print(f"{name:28} {size:6.1f} KiB for each of {options.idle} idle sockets")


if __name__ == "__main__":
    main()
