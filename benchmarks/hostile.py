"""One measurement of a server that is overloaded, or beside clients that are slow or mean no good."""

from __future__ import annotations

import contextlib
import http.client
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import percentile
from benchmarks.load import CLIENT_CORE, WrongLoad
from benchmarks.measures import result_of, shown, start
from benchmarks.servers import Running, WrongAnswer

__all__ = ["Flooded", "Overload", "Pipelined", "SlowCrowd", "calibration_ms"]

_HERE = Path(__file__).resolve().parent
_PYTHON = ("taskset", "-c", str(CLIENT_CORE), sys.executable)
_PACE_SECONDS = 0.01
_PATIENCE_SECONDS = 10.0  # of a visitor
_LONGEST_SECONDS = 30.0  # what has no answer then has none


def _program(name: str, *words: object) -> list[str]:
    return [*_PYTHON, str(_HERE / f"{name}.py"), *map(str, words)]


@dataclass(frozen=True)
class Overload:
    """Ask for a page more often than the server can answer.

    Attributes:
        capacity: requests per second that the pool can serve: its threads, by the time that the page takes.
        normal_seconds: what an answer may take when all is well.
    """

    path: str
    capacity: float
    times: float
    normal_seconds: float

    def __call__(self, server: Running, seconds: int) -> dict[str, float]:
        found = result_of(start(self._command(server.port, seconds)))
        asked = found["served"] + found["refused"] + found["failed"]
        if not found["served"]:
            raise WrongLoad(f"none of {asked} requests was served")
        return {
            "served_per_second": found["served"] / found["seconds"],
            "p99_ms": percentile(found["times"], 99),
            "refused_per_second": found["refused"] / found["seconds"],
            "recovery_seconds": found["recovery_seconds"],
        }

    def shown_commands(self, seconds: int) -> list[str]:
        return [shown(self._command("PORT", seconds))]

    def _command(self, port: int | str, seconds: int) -> list[str]:
        rate = f"{self.capacity * self.times:g}"
        return _program("overload", port, self.path, rate, seconds, f"{_PATIENCE_SECONDS:g}", self.normal_seconds)


@dataclass(frozen=True)
class SlowCrowd:
    """Ask for a page, each time on a new connection, beside many slow clients of one kind."""

    kind: str
    count: int

    def __call__(self, server: Running, seconds: int) -> dict[str, float]:
        before = server.resident_bytes()
        with _beside(self._crowd(server.port)) as ended:
            with contextlib.suppress(WrongAnswer):  # it may have too much to do to come to rest
                server.rest()
            asked = result_of(start(self._asked(server.port, seconds)))
            grown = server.resident_bytes() - before
        return {
            **_answered(asked),
            "kib_per_connection": grown / 1024 / self.count,
            "slow_clients": float(ended["open"]),
        }

    def shown_commands(self, seconds: int) -> list[str]:
        return [shown(self._crowd("PORT")), shown(self._asked("PORT", seconds))]

    def _crowd(self, port: int | str) -> list[str]:
        return _program("drip", port, self.kind, self.count)

    def _asked(self, port: int | str, seconds: int) -> list[str]:
        return _program("asked", port, seconds, _PACE_SECONDS, 5, "/", "new")


@dataclass(frozen=True)
class Flooded:
    """Ask for a page, on one connection, beside clients that flood; and look at the turns of the loop."""

    kind: str
    clients: int = 8
    page: str = "kept"

    def __call__(self, server: Running, seconds: int) -> dict[str, float]:
        unit = calibration_ms()
        _longest_turn(server)
        with _beside(self._crowd(server.port)) as ended:
            _longest_turn(server)  # the first second is not counted: connections begin
            asked = result_of(start(self._asked(server.port, seconds)))
            turn = _longest_turn(server)
        return {
            **_answered(asked),
            "turn_units": turn / min(unit, calibration_ms()),
            "turn_ms": turn,
            "flood_mib_per_second": ended["bytes"] / 2**20 / (seconds + 1),
        }

    def shown_commands(self, seconds: int) -> list[str]:
        return [shown(self._crowd("PORT")), shown(self._asked("PORT", seconds))]

    def _crowd(self, port: int | str) -> list[str]:
        return _program("flood", port, self.kind, self.clients)

    def _asked(self, port: int | str, seconds: int) -> list[str]:
        return _program("asked", port, seconds, _PACE_SECONDS, f"{_PATIENCE_SECONDS:g}", "/", self.page)


@dataclass(frozen=True)
class Pipelined:
    """Memory beside clients that send requests without end, and read the answers or not."""

    kind: str
    clients: int = 4

    def __call__(self, server: Running, seconds: int) -> dict[str, float]:
        before = most = server.resident_bytes()
        with _beside(self._crowd(server.port)):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                time.sleep(0.1)
                most = max(most, server.resident_bytes())
        return {"grown_mib": (most - before) / 2**20, "resident_mib": before / 2**20}

    def shown_commands(self, seconds: int) -> list[str]:
        return [shown(self._crowd("PORT"))]

    def _crowd(self, port: int | str) -> list[str]:
        return _program("flood", port, self.kind, self.clients)


def calibration_ms() -> float:
    """Return the processor time of a million turns of an empty loop of Python: the least of five, in milliseconds.

    A turn of the event loop is told as a multiple of it, so that two machines can be compared.
    """
    times = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(1_000_000):
            pass
        times.append(time.process_time() - began)
    return min(times) * 1000


@contextlib.contextmanager
def _beside(command: list[str]) -> Iterator[dict[str, Any]]:
    """Run clients; begin when they are there. What they counted is in the dict afterwards.

    Raises: WrongLoad.
    """
    process = start(command)
    ended: dict[str, Any] = {}
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield ended
    except BaseException:
        process.kill()
        process.communicate()
        raise
    ended |= result_of(process)


def _answered(asked: dict[str, Any]) -> dict[str, float]:
    times = asked["times"]
    return {
        "p50_ms": percentile(times, 50),
        "p99_ms": percentile(times, 99),
        "answered_percent": 100 * (1 - asked["unanswered"] / len(times)),
    }


def _longest_turn(server: Running) -> float:
    """Return the longest turn of the loop since the last time, in milliseconds of its processor time."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_LONGEST_SECONDS)
    try:
        connection.request("GET", "/turns")
        return float(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise WrongLoad(f"a page on the loop got no answer in {_LONGEST_SECONDS:.0f} s: {error!r}") from error
    finally:
        connection.close()
