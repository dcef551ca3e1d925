"""The load: wrk on its own core, and what it prints as numbers."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CLIENT_CORE", "Load", "Measured", "WrongLoad", "parse_wrk"]

CLIENT_CORE = 1
_POST = Path(__file__).resolve().parent / "post.lua"
_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class WrongLoad(Exception):
    """Some answers were wrong, or did not come; the text is what wrk printed."""


@dataclass(frozen=True)
class Measured:
    """What wrk found."""

    requests_per_second: float
    latencies_ms: dict[int, float]  # percentile -> milliseconds


@dataclass(frozen=True)
class Load:
    """How wrk is called: closed loop, each connection asks again when it has its answer."""

    connections: int
    path: str = "/"
    threads: int = 1
    headers: tuple[tuple[str, str], ...] = ()
    body_bytes: int = 0  # POST, if there are any

    def command(self, url: str, seconds: int) -> list[str]:
        """Return the command; the body's size is in the environment."""
        words = ["taskset", "-c", str(CLIENT_CORE), "wrk", f"-t{self.threads}", f"-c{self.connections}"]
        words += [f"-d{seconds}", "--latency", "--timeout", "30s"]
        for name, value in self.headers:
            words += ["-H", f"{name}: {value}"]
        if self.body_bytes:
            words += ["-s", str(_POST)]
        return [*words, f"{url}{self.path}"]

    def shown_command(self, seconds: int) -> str:
        """Return the command as a result tells it."""
        words = [f"'{word}'" if " " in word else word for word in self.command("http://127.0.0.1:PORT", seconds)]
        text = " ".join(words).replace(str(_POST), "benchmarks/post.lua")
        return f"BODY_BYTES={self.body_bytes} {text}" if self.body_bytes else text

    def run(self, url: str, seconds: int) -> Measured:
        """Load a server. wrk takes whole seconds.

        Raises: WrongLoad.
        """
        variables = {**os.environ, "BODY_BYTES": str(self.body_bytes)}
        done = subprocess.run(
            self.command(url, seconds), capture_output=True, text=True, env=variables, check=False
        )
        if done.returncode:
            raise WrongLoad(done.stdout + done.stderr)
        return parse_wrk(done.stdout)


def parse_wrk(output: str) -> Measured:
    """Read what `wrk --latency` prints.

    Raises: WrongLoad if any answer was not a 2xx or 3xx, or any connection failed.
    """
    rate = re.search(r"^Requests/sec:\s+([\d.]+)", output, re.MULTILINE)
    if rate is None or "Non-2xx" in output or "Socket errors" in output or float(rate[1]) == 0:
        raise WrongLoad(output)
    found = re.findall(r"^\s+(50|75|90|99)%\s+([\d.]+)(us|ms|s|m)$", output, re.MULTILINE)
    latencies = {int(percent): float(value) * _UNITS_MS[unit] for percent, value, unit in found}
    return Measured(float(rate[1]), latencies)
