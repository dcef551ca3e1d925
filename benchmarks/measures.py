"""One measurement of one running server: a dict of metric -> number. The rounds are elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import slow
from benchmarks.figures import percentile
from benchmarks.load import CLIENT_CORE, Load, WrongLoad, result
from benchmarks.servers import Running

__all__ = ["Beside", "IdleMemory", "Measure", "SlowReaders", "Throughput", "start_up"]

Measure = Callable[[Running, int], dict[str, float]]  # (server, seconds) -> metric -> number
_PROBE = Path(__file__).resolve().parent / "probe.py"
_WARM_UP_SECONDS = 1
PACE_SECONDS = 0.01


@dataclass(frozen=True)
class Throughput:
    """Load a server as hard as so many connections can."""

    load: Load
    content_bytes: int = 0  # of one request or answer, where bytes are what counts

    def __call__(self, server: Running, seconds: int) -> dict[str, float]:
        measured = self.load.run(server.url, seconds)
        found = {"requests_per_second": measured.requests_per_second}
        found |= {f"p{percent}_ms": value for percent, value in measured.latencies_ms.items() if percent in (50, 99)}
        if self.content_bytes:
            found["mib_per_second"] = measured.requests_per_second * self.content_bytes / 2**20
        return found

    def shown_commands(self, seconds: int) -> list[str]:
        return [self.load.shown_command(seconds)]


@dataclass(frozen=True)
class Beside:
    """Ask for an asynchronous page, on one connection, while the pool is under load."""

    loads: dict[str, Load]  # metric of its throughput -> load
    pace_seconds: float = PACE_SECONDS

    def __call__(self, server: Running, seconds: int) -> dict[str, float]:
        self._run(server, _WARM_UP_SECONDS)  # threads are started, limits found
        processes = self._start(server, seconds)
        probe = subprocess.run(self._probe(server.port, seconds - 0.5), capture_output=True, text=True, check=False)
        found = {metric: result(process).requests_per_second for metric, process in processes.items()}
        if probe.returncode:
            raise WrongLoad(f"probe: {probe.stderr}")
        times = json.loads(probe.stdout)
        return {"p50_ms": percentile(times, 50), "p99_ms": percentile(times, 99), "answers": len(times), **found}

    def shown_commands(self, seconds: int) -> list[str]:
        """Return the commands: all at once, after a second of the same load without the probe."""
        probe = f"taskset -c {CLIENT_CORE} python benchmarks/probe.py PORT {seconds - 0.5:g} {self.pace_seconds:g}"
        return [*(load.shown_command(seconds) for load in self.loads.values()), probe]

    def _run(self, server: Running, seconds: int) -> None:
        for process in self._start(server, seconds).values():
            result(process)

    def _start(self, server: Running, seconds: int) -> dict[str, subprocess.Popen[str]]:
        return {metric: load.start(server.url, seconds) for metric, load in self.loads.items()}

    def _probe(self, port: int, seconds: float) -> list[str]:
        words = ["taskset", "-c", str(CLIENT_CORE), sys.executable, str(_PROBE)]
        return [*words, str(port), str(seconds), str(self.pace_seconds)]


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
