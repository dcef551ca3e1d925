"""The load: wrk on its own core, and what it prints as numbers."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CLIENT_CORE", "Load", "Measured", "WrongLoad", "parse_wrk"]

CLIENT_CORE = 1
_HERE = Path(__file__).resolve().parent
_POST = _HERE / "post.lua"
_DIFFERING = _HERE / "heads.lua"
_VARIED = _HERE / "varied.lua"
_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class WrongLoad(Exception):
    """Some answers were wrong, or did not come; the text is what wrk printed."""


@dataclass(frozen=True)
class Measured:
    """What wrk found."""

    requests_per_second: float
    latencies_ms: dict[int, float]  # percentile -> milliseconds
    requests: int


@dataclass(frozen=True)
class Load:
    """How wrk is called: closed loop, each connection asks again when it has its answer."""

    connections: int
    path: str = "/"
    threads: int = 1
    headers: tuple[tuple[str, str], ...] = ()
    body_bytes: int = 0  # POST, if there are any
    heads: Path | None = None  # a file of shapes (heads.py): no head is sent twice; `path` and `headers` are not used
    is_pinned: bool = True
    is_varied: bool = False  # no two heads are the same

    def command(self, url: str, seconds: int) -> list[str]:
        """Return the command; the size of the body and the file of shapes are in the environment."""
        cores = str(CLIENT_CORE) if self.is_pinned else f"0-{(os.cpu_count() or 1) - 1}"
        words = ["taskset", "-c", cores, "wrk", f"-t{self.threads}", f"-c{self.connections}"]
        words += [f"-d{seconds}", "--latency", "--timeout", "30s"]
        for name, value in self.headers:
            words += ["-H", f"{name}: {value}"]
        if self.heads is not None:
            words += ["-s", str(_DIFFERING)]
        elif self.body_bytes:
            words += ["-s", str(_POST)]
        elif self.is_varied:
            words += ["-s", str(_VARIED)]
        return [*words, f"{url}{self.path}"]

    def shown_command(self, seconds: int) -> str:
        """Return the command as a result tells it."""
        words = [f"'{word}'" if " " in word else word for word in self.command("http://127.0.0.1:PORT", seconds)]
        variables = [f"{name}={value}" for name, value in self._variables().items()]
        return " ".join([*variables, *words]).replace(str(_HERE), "benchmarks")

    def run(self, url: str, seconds: int) -> Measured:
        """Load a server. wrk takes whole seconds.

        Raises: WrongLoad.
        """
        done = subprocess.run(
            self.command(url, seconds),
            capture_output=True,
            text=True,
            env={**os.environ, **self._variables()},
            check=False,
        )
        if done.returncode:
            raise WrongLoad(done.stdout + done.stderr)
        return parse_wrk(done.stdout)

    def _variables(self) -> dict[str, str]:
        """Return what the scripts look for in the environment."""
        found = {}
        if self.heads is not None:
            found["HEADS"] = str(self.heads)
        if self.body_bytes:
            found["BODY_BYTES"] = str(self.body_bytes)
        return found


def parse_wrk(output: str) -> Measured:
    """Read what `wrk --latency` prints.

    Raises: WrongLoad if any answer was not a 2xx or 3xx, or any connection failed.
    """
    rate = re.search(r"^Requests/sec:\s+([\d.]+)", output, re.MULTILINE)
    if rate is None or "Non-2xx" in output or "Socket errors" in output or float(rate[1]) == 0:
        raise WrongLoad(output)
    found = re.findall(r"^\s+(50|75|90|99)%\s+([\d.]+)(us|ms|s|m)$", output, re.MULTILINE)
    latencies = {int(percent): float(value) * _UNITS_MS[unit] for percent, value, unit in found}
    requests = re.search(r"^\s+(\d+) requests in ", output, re.MULTILINE)
    return Measured(float(rate[1]), latencies, int(requests[1]) if requests else 0)
