"""The servers that are measured, Redis, and what they have used."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .crowd import Member, SocketIoMember

PATIENCE = 600.0
HERE = Path(__file__).parent
COMPARED = {"channels", "channels_redis", "channels-redis", "python-socketio", "daphne", "uvicorn", "uvloop", "redis"}
TICKS = os.sysconf("SC_CLK_TCK")


class Site:
    """A server: its processes, its ports, and what they have used."""

    is_ours = False
    member: type[Member] = Member

    def __init__(self, name: str, commands: list[list[str]], ports: list[int], folder: str, **env: str) -> None:
        self.name = name
        self.ports = ports
        self.processes = [
            subprocess.Popen(
                words, cwd=folder, env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            for words in commands
        ]

    def wait(self) -> None:
        for port in self.ports:
            wait_for(port)

    def seconds(self) -> float:
        return sum(spent(pid) for process in self.processes for pid in tree(process.pid))

    def memory(self) -> int:
        return sum(pss(pid) for process in self.processes for pid in tree(process.pid))

    def close(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
                continue
            process.kill()


class Redis:
    """One Redis for all."""

    def __init__(self, folder: str) -> None:
        self.port = free_port()
        words = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        wait_for(self.port)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def seconds(self) -> float:
        return spent(self.process.pid)


def ours(folder: str, layer: str, workers: int, *more: str, binds: bool = True, name: str = "", **env: str) -> Site:
    port = free_port()
    words = [sys.executable, "-m", "uvicorn", "ours:routes", "--workers", str(workers), "--channel-layer", layer]
    words += ["--no-control-socket", "--threads", "1", "--channel-capacity", "1000000", "--worker-connections", "5000"]
    words += ["--websocket-ping-interval", "0"]
    words += ["--bind", f"127.0.0.1:{port}"] if binds else []
    shown = name or f"this server, {layer.partition('?')[0].partition('//')[0]}//, {count_of(workers)}"
    site = Site(shown, [[*words, *more]], [port] if binds else [], folder, PYTHONPATH=str(HERE), **env)
    site.is_ours = True
    return site


def theirs(folder: str, python: str, server: str, backend: str, count: int, redis: Redis) -> Site:
    ports = [free_port() for _ in range(count)]
    commands = []
    for port in ports:
        if server == "daphne":
            options = ["-b", "127.0.0.1", "--websocket_connect_timeout", "60"]
            commands.append([python, "-m", "daphne", *options, "-p", str(port), "theirs:application"])
        else:
            commands.append(released(python, port, "theirs:application"))
    kind = "core" if "core" in backend else "pub/sub"
    name = f"Channels 4, {kind}, {server}, {count_of(count)}"
    return Site(name, commands, ports, folder, BACKEND=backend, REDIS=redis.url, PYTHONPATH=str(HERE))


def theirs_socketio(folder: str, python: str, count: int, redis: Redis) -> Site:
    ports = [free_port() for _ in range(count)]
    commands = [released(python, port, "theirs_socketio:application") for port in ports]
    name = f"python-socketio, Redis, uvicorn, {count_of(count)}"
    site = Site(name, commands, ports, folder, REDIS=redis.url, PYTHONPATH=str(HERE))
    site.member = SocketIoMember
    return site


def count_of(processes: int) -> str:
    return "1 process" if processes == 1 else f"{processes} processes"


def versions(python: str) -> str:
    """Return what is installed for a Python of the packages that are compared."""
    code = "import importlib.metadata as m; print(*(f'{d.name} {d.version}' for d in m.distributions()), sep='\\n')"
    lines = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    return ", ".join(sorted({line for line in lines if line.split()[0].lower() in COMPARED}))


def released(python: str, port: int, application: str) -> list[str]:
    """Return the command of the released uvicorn."""
    options = ["--port", str(port), "--log-level", "error", "--ws-ping-interval", "1000"]
    return [python, "-m", "uvicorn", *options, application]


@contextlib.contextmanager
def closing(site: Site) -> Iterator[Site]:
    try:
        yield site
    finally:
        site.close()


def look(condition: Callable[[], bool], pause: float = 0.02) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(pause)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    def answers() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    look(answers)


def tree(pid: int) -> list[int]:
    """Return a process and all below it."""
    found = [pid]
    for each in found:
        with contextlib.suppress(OSError):
            found += map(int, Path(f"/proc/{each}/task/{each}/children").read_text().split())
    return found


def spent(pid: int) -> float:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / TICKS
    return 0.0


def pss(pid: int) -> int:
    """Return kilobytes."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/smaps_rollup").read_text().partition("\nPss:")[2].split()[0])
    return 0
