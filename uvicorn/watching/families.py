"""The names of all that is counted, what each means, and how the numbers of several workers become one.

A worker's numbers are *figures*: name of a family -> labels -> value. A value is a number; of a histogram it is a list,
the sum of what was measured and then the count of each bucket of `BOUNDS`.

Counters and histograms only grow. When a worker has left, its counters are kept, and its gauges are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from uvicorn.bridge.tally import BOUNDS

__all__ = [
    "COUNTER",
    "FAMILIES",
    "GAUGE",
    "HISTOGRAM",
    "Family",
    "Figures",
    "add_up",
    "as_rows",
    "from_rows",
    "lasting",
    "quantile",
]

COUNTER: Final = "counter"
GAUGE: Final = "gauge"
HISTOGRAM: Final = "histogram"

Labels = tuple[str, ...]
Figures = dict[str, dict[Labels, Any]]


class Family(NamedTuple):
    """One thing that is counted.

    Attributes:
        name: without the prefix; of a counter without "_total".
        kind: COUNTER, GAUGE or HISTOGRAM.
        text: what it is.
        labels: the names of its labels.
        is_largest: of several workers the largest value is told, and not the sum.
    """

    name: str
    kind: str
    text: str
    labels: Labels = ()
    is_largest: bool = False


FAMILIES: Final[dict[str, Family]] = {
    family.name: family
    for family in (
        Family("requests", COUNTER, "Requests whose head was read"),
        Family("responses", COUNTER, "Responses that have begun; 499: the client left before", ("status",)),
        Family("refused", COUNTER, "Requests refused or cut off, by the setting that says so", ("reason",)),
        Family("connections_made", COUNTER, "Connections of clients that were accepted"),
        Family("received_bytes", COUNTER, "Bytes from clients, framing included"),
        Family("sent_bytes", COUNTER, "Bytes to clients, framing included"),
        Family("consumer_errors", COUNTER, "Calls of consumers that raised", ("consumer", "mount", "side")),
        Family("consumer_run_seconds", HISTOGRAM, "How long calls of consumers ran", ("consumer", "mount", "side")),
        Family(
            "consumer_wait_seconds", HISTOGRAM, "How long calls of consumers waited for a thread", ("consumer", "mount")
        ),
        Family("call_run_seconds", HISTOGRAM, "How long calls that frameworks handed to threads ran", ("function",)),
        Family("call_wait_seconds", HISTOGRAM, "How long calls of frameworks waited for a thread", ("function",)),
        Family("framework_calls", COUNTER, "Calls that frameworks handed to threads", ("kind",)),
        Family("upstream_seconds", HISTOGRAM, "How long requests were on their way from a proxy to us"),
        Family("loop_lag_seconds", HISTOGRAM, "From a wake-up of the event loop to its turn, up to 20 times a second"),
        Family("loop_blocks", COUNTER, "Times that the event loop did not turn", ("cause",)),
        Family("loop_blocked_seconds", COUNTER, "How long it did not turn", ("cause",)),
        Family(
            "interpreter_wait_seconds",
            COUNTER,
            "How long a thread that wakes up 20 times a second waited for the interpreter or a processor",
        ),
        Family("collections", COUNTER, "Collections of garbage", ("generation",)),
        Family("collection_seconds", COUNTER, "How long collections of garbage stopped the worker"),
        Family("dry_pools", COUNTER, "Times that a pool ran dry"),
        Family("slow_consumers", COUNTER, "Calls that were told as slow"),
        Family("governor_changes", COUNTER, "Changes of the limit of a pool", ("pool", "direction")),
        Family("cpu_seconds", COUNTER, "CPU time of the workers"),
        Family("workers", GAUGE, "Workers that serve"),
        Family("connections", GAUGE, "Open connections", ("state",)),
        Family("sockets", GAUGE, "Open WebSockets"),
        Family("socket_backlog", GAUGE, "Messages of sockets that wait for their consumer"),
        Family("in_flight", GAUGE, "Requests whose consumer runs or waits for a thread", ("side", "mount")),
        Family("pool_threads", GAUGE, "Threads that a pool may have", ("pool",)),
        Family("pool_busy", GAUGE, "Threads that run a job", ("pool",)),
        Family("pool_stuck", GAUGE, "Threads that do not come back", ("pool",)),
        Family("pool_queued", GAUGE, "Jobs that wait for a thread", ("pool",)),
        Family("pool_held", GAUGE, "Jobs that the governor keeps back", ("pool",)),
        Family("pool_oldest_wait_seconds", GAUGE, "How long the first of them has waited", ("pool",), True),
        Family("pool_limit", GAUGE, "Threads that may compute at once, by the governor", ("pool",)),
        Family("memory_bytes", GAUGE, "Resident memory of the workers"),
        Family("largest_memory_bytes", GAUGE, "Resident memory of the largest worker", (), True),
    )
}


def add_up(parts: Iterable[Figures]) -> Figures:
    """Return the figures of several workers as those of one."""
    total: Figures = {}
    for figures in parts:
        for name, values in figures.items():
            family = FAMILIES.get(name)
            if family is None:  # of a worker of another version
                continue
            into = total.setdefault(name, {})
            for labels, value in values.items():
                known = into.get(labels)
                if known is None:
                    into[labels] = list(value) if isinstance(value, list) else value
                elif isinstance(value, list):
                    into[labels] = [one + other for one, other in zip(known, value, strict=True)]
                else:
                    into[labels] = max(known, value) if family.is_largest else known + value
    return total


def lasting(figures: Figures) -> Figures:
    """Return what is kept of a worker that has left."""
    return {name: values for name, values in figures.items() if name in FAMILIES and FAMILIES[name].kind != GAUGE}


def as_rows(figures: Figures) -> dict[str, list[list[Any]]]:
    """Return figures as JSON allows them: name -> rows of labels and a value."""
    return {name: [[*labels, value] for labels, value in values.items()] for name, values in figures.items()}


def from_rows(rows: Mapping[str, Iterable[list[Any]]]) -> Figures:
    """Return the figures that were made rows."""
    return {name: {tuple(row[:-1]): row[-1] for row in values} for name, values in rows.items()}


def quantile(histogram: list[float], part: float) -> float | None:
    """Return what so large a part of all calls did not exceed, in seconds, as Prometheus computes it; None for no call.

    Args:
        histogram: the sum, and the count of each bucket.
    """
    counts = histogram[1:]
    total = sum(counts)
    if not total:
        return None
    rank, below = part * total, 0.0
    for number, count in enumerate(counts):
        if count and below + count >= rank:
            if number >= len(BOUNDS):
                return BOUNDS[-1]
            low = BOUNDS[number - 1] if number else 0.0
            return low + (BOUNDS[number] - low) * (rank - below) / count
        below += count
    return BOUNDS[-1]
