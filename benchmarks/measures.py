"""One measurement of one running server: a dict of metric -> number. The rounds are elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import slow
from benchmarks.figures import percentile
from benchmarks.heads import HEADS
from benchmarks.load import CLIENT_CORE, Load, WrongLoad
from benchmarks.servers import Running

__all__ = [
    "Beside", "Crowd", "IdleMemory", "Measure", "Paced", "SlowReaders", "Throughput", "result_of", "shown", "start",
    "start_up",
]  # fmt: skip

Measure = Callable[[Running, int], dict[str, float]]  # (server, seconds) -> metric -> number
_HERE = Path(__file__).resolve().parent
_PYTHON = ("taskset", "-c", str(CLIENT_CORE), sys.executable)
PACE_SECONDS = 0.01


@dataclass(frozen=True)
class Throughput:
    """Load a server as hard as so many connections can."""

    load: Load
    content_bytes: int = 0  # of one request or answer, where bytes are what counts

    def __call__(self, server: Running, seconds: int) -> dict[str, float]:
        spent = server.cpu_seconds()
        measured = self.load.run(server.url, seconds)
        spent = server.cpu_seconds() - spent
        found = {"requests_per_second": measured.requests_per_second, "cpu_us": spent * 1e6 / measured.requests}
        found |= {f"p{percent}_ms": value for percent, value in measured.latencies_ms.items() if percent in (50, 99)}
        if self.content_bytes:
            found["mib_per_second"] = measured.requests_per_second * self.content_bytes / 2**20
        return found

    def shown_commands(self, seconds: int) -> list[str]:
        return [self.load.shown_command(seconds)]


@dataclass
class Paced:
    """Load servers at the same rate: a share of what the slowest of them can, which is found first."""

    connections: int
    share: float
    heads: Path = HEADS
    rate: float = 0.0  # requests per second

    def look_at(self, servers: Iterable[Running]) -> None:
        """Find the rate."""
        load = Load(self.connections, heads=self.heads)
        self.rate = self.share * min(load.run(server.url, 2).requests_per_second for server in servers)

    def __call__(self, server: Running, seconds: int) -> dict[str, float]:
        spent = server.cpu_seconds()
        found = result_of(start(self._command(server.port, seconds)))
        if found["rate"] < 0.98 * self.rate:
            raise WrongLoad(f"{self.rate:.0f} requests per second were due, {found['rate']:.0f} were answered")
        cpu_us = (server.cpu_seconds() - spent) * 1e6 / found["requests"]
        return {"p50_ms": found["p50_ms"], "p99_ms": found["p99_ms"], "offered_per_second": self.rate, "cpu_us": cpu_us}

    def shown_commands(self, seconds: int) -> list[str]:
        return [shown(self._command("PORT", seconds))]

    def _command(self, port: int | str, seconds: int) -> list[str]:
        words = [str(port), str(self.connections), f"{self.rate:.0f}", str(seconds), str(self.heads)]
        return [*_PYTHON, str(_HERE / "paced.py"), *words]


@dataclass(frozen=True)
class Crowd:
    """So many clients of one page; `metric` is their throughput."""

    metric: str
    clients: int
    path: str


@dataclass(frozen=True)
class Beside:
    """Ask for an asynchronous page, on one connection, while the pool is under load."""

    crowds: tuple[Crowd, ...]
    pace_seconds: float = PACE_SECONDS
    warm_up_seconds: float = 1.0  # threads are started, limits found

    def __call__(self, server: Running, seconds: int) -> dict[str, float]:
        crowds = [start(self._crowd(crowd, server.port)) for crowd in self.crowds]
        for process in crowds:
            assert process.stdout is not None
            process.stdout.readline()  # it is warm
        times = result_of(start(self._probe(server.port, seconds)))
        counts = [result_of(process) for process in crowds]  # ends them
        found = {"p50_ms": percentile(times, 50), "p99_ms": percentile(times, 99), "probes": float(len(times))}
        for crowd, counted in zip(self.crowds, counts, strict=True):
            found[crowd.metric] = counted["answers"] / counted["seconds"]
        return found

    def shown_commands(self, seconds: int) -> list[str]:
        """Return the commands: the crowds, and when they are warm the probe."""
        commands = [self._crowd(crowd, "PORT") for crowd in self.crowds]
        return [shown(command) for command in (*commands, self._probe("PORT", seconds))]

    def _crowd(self, crowd: Crowd, port: int | str) -> list[str]:
        words = [str(_HERE / "crowd.py"), str(port), crowd.path, str(crowd.clients)]
        return [*_PYTHON, *words, f"{self.warm_up_seconds:g}"]

    def _probe(self, port: int | str, seconds: float) -> list[str]:
        return [*_PYTHON, str(_HERE / "probe.py"), str(port), f"{seconds:g}", f"{self.pace_seconds:g}"]


@dataclass(frozen=True)
class IdleMemory:
    """Memory of a connection that was answered once and is kept."""

    connections: int

    def __call__(self, server: Running, seconds: int) -> dict[str, float]:
        with slow.Connections(server.port, 50) as first:  # what is allocated once
            first.ask()
            time.sleep(0.5)
            before = server.resident_bytes()
            with slow.Connections(server.port, self.connections) as more:
                more.ask()
                time.sleep(0.5)
                after = server.resident_bytes()
                still_there = more.count_open()
        if still_there < self.connections:
            raise WrongLoad(f"{self.connections - still_there} idle connections were closed")
        return {"kib_per_connection": (after - before) / 1024 / self.connections, "resident_mib": before / 2**20}

    def shown_commands(self, seconds: int) -> list[str]:
        return [f"{self.connections} connections, one request each (benchmarks/slow.py)"]


@dataclass(frozen=True)
class SlowReaders:
    """Memory of a stream whose client reads slowly."""

    readers: int
    bytes_per_second: int

    def __call__(self, server: Running, seconds: int) -> dict[str, float]:
        with slow.Connections(server.port, 4) as first:
            first.read(1 << 20, seconds=0.5)
        before = most = server.resident_bytes()
        with slow.Connections(server.port, self.readers) as readers:
            readers.ask_only()
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                readers.read_once(self.bytes_per_second // 20)
                time.sleep(0.05)
                most = max(most, server.resident_bytes())
        return {"kib_per_stream": (most - before) / 1024 / self.readers, "resident_mib": before / 2**20}

    def shown_commands(self, seconds: int) -> list[str]:
        return [f"{self.readers} readers of {self.bytes_per_second >> 10} KiB/s each, {seconds} s (benchmarks/slow.py)"]


@dataclass(frozen=True)
class StartUp:
    """Time from the start of the command to its first answer. The server is started for each measurement."""

    def __call__(self, server: Running, seconds: int) -> dict[str, float]:
        return {"seconds": server.started_seconds, "resident_mib": server.resident_bytes() / 2**20}

    def shown_commands(self, seconds: int) -> list[str]:
        return ["one GET each 5 ms until it is answered (benchmarks/servers.py)"]


start_up = StartUp()


def start(command: list[str]) -> subprocess.Popen[str]:
    """Start clients of ours."""
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def result_of(process: subprocess.Popen[str]) -> Any:
    """Close the standard input of a client of ours, and return what it prints at its end.

    Raises: WrongLoad.
    """
    printed, errors = process.communicate()
    if process.returncode:
        raise WrongLoad(errors)
    return json.loads(printed)


def shown(command: list[str]) -> str:
    """Return a command as a result tells it."""
    return " ".join(command).replace(sys.executable, "python").replace(str(_HERE), "benchmarks")
