"""What a scenario is: who takes part, what is asked, what is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.checks import HELLO, Request
from benchmarks.measures import Measure, Paced, Throughput
from benchmarks.servers import Contender

__all__ = ["METRICS", "Metric", "Scenario"]


@dataclass(frozen=True)
class Metric:
    """A number that is measured. `is_high_good` says which direction is better."""

    title: str
    digits: int
    is_high_good: bool


METRICS = {
    "requests_per_second": Metric("requests/s", 0, True),
    "cpu_us": Metric("processor time per request, µs", 1, False),
    "offered_per_second": Metric("offered, requests/s", 0, True),
    "mib_per_second": Metric("MiB/s", 0, True),
    "load_per_second": Metric("load, requests/s", 1, True),
    "waiting_per_second": Metric("waiting, requests/s", 1, True),
    "computing_per_second": Metric("computing, requests/s", 1, True),
    "p50_ms": Metric("median, ms", 2, False),
    "p99_ms": Metric("99th percentile, ms", 2, False),
    "kib_per_connection": Metric("KiB per connection", 1, False),
    "kib_per_stream": Metric("KiB per stream", 1, False),
    "resident_mib": Metric("memory, MiB", 1, False),
    "seconds": Metric("seconds", 3, False),
    "served_per_second": Metric("served/s", 0, True),
    "refused_per_second": Metric("refused/s", 0, True),
    "recovery_seconds": Metric("seconds until normal", 2, False),
    "answered_percent": Metric("answered, %", 1, True),
    "slow_clients": Metric("slow clients at the end", 0, True),
    "turn_units": Metric("longest turn, units", 2, False),
    "turn_ms": Metric("longest turn, ms of processor time", 1, False),
    "flood_mib_per_second": Metric("flood, MiB/s", 2, True),
    "grown_mib": Metric("growth, MiB", 1, False),
}


_OUR_KINDS = ("ours", "ours, django", "ours, frameworks")  # other peers are compared with these


@dataclass(frozen=True)
class Scenario:
    """One comparison.

    Attributes:
        metrics: which of `METRICS` are shown, the most telling first.
        measure: measures one server once; has `shown_commands(seconds)`.
        pairs: further ratios, (which of ours, which other), beside those of each peer to ours of its side.
        is_fresh: start the servers anew for each round.
        is_idle: the servers must keep idle connections, and many.
        workers: of each server; several of them are not pinned to a core.
    """

    name: str
    title: str
    contenders: tuple[Contender, ...]
    measure: Measure
    metrics: tuple[str, ...]
    checks: tuple[Request, ...] = (HELLO,)
    pairs: tuple[tuple[str, str], ...] = ()
    rounds: int = 3
    seconds: int = 2
    is_fresh: bool = False
    is_idle: bool = False
    workers: int = 1

    def compared(self) -> list[tuple[str, str]]:
        """Return all pairs of names of which ratios are made: (ours, other)."""
        of_ours = [contender for contender in reversed(self.contenders) if contender.kind in _OUR_KINDS]
        ours = {contender.side: contender.name for contender in of_ours}
        sides = {"limit": "async"}
        found = [
            (ours[side], contender.name)
            for contender in self.contenders
            if (side := sides.get(contender.side, contender.side)) in ours and contender.name != ours[side]
        ]
        names = {contender.name for contender in self.contenders}
        return [*found, *(pair for pair in self.pairs if pair not in found and names.issuperset(pair))]

    def with_heads(self, heads: Path) -> Scenario:
        """Return the same with other shapes of heads, where heads differ."""
        if isinstance(self.measure, Paced):
            return replace(self, measure=replace(self.measure, heads=heads))
        if isinstance(self.measure, Throughput) and self.measure.load.heads is not None:
            return replace(self, measure=replace(self.measure, load=replace(self.measure.load, heads=heads)))
        return self
