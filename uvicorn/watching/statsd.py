"""Numbers for statsd, through Gunicorn's own logger (`statsd_host`), once a second. Loop thread only.

Each worker sends by how much its counters have grown. What is a state, and no count, would be overwritten by the next
worker: so one of them sends it for all, whoever has the first place on the board.
"""

from __future__ import annotations

from typing import Any, Final

from uvicorn.watching.families import Figures

__all__ = ["StatsdNumbers"]

#: family -> the name of the counter; labels are added up, but for those in `_BY_LABEL`
_COUNTERS: Final = {
    "consumer_errors": "uvicorn.consumer.errors",
    "refused": "uvicorn.refused",
    "framework_calls": "uvicorn.calls",
    "loop_blocks": "uvicorn.loop.blocks",
    "dry_pools": "uvicorn.pool.dry",
    "slow_consumers": "uvicorn.consumer.slow",
    "received_bytes": "uvicorn.bytes.received",
    "sent_bytes": "uvicorn.bytes.sent",
    "connections_made": "uvicorn.connections.made",
}
_BY_LABEL: Final = ("refused", "framework_calls", "loop_blocks")
_GAUGES: Final = {
    "workers": ("uvicorn.workers", 1),
    "sockets": ("uvicorn.sockets", 1),
    "connections": ("uvicorn.connections", 1),
    "in_flight": ("uvicorn.in_flight", 1),
    "pool_threads": ("uvicorn.pool.threads", 1),
    "pool_busy": ("uvicorn.pool.busy", 1),
    "pool_stuck": ("uvicorn.pool.stuck", 1),
    "pool_queued": ("uvicorn.pool.queued", 1),
    "pool_oldest_wait_seconds": ("uvicorn.pool.oldest_wait_ms", 1000),
    "memory_bytes": ("uvicorn.memory_bytes", 1),
}


class StatsdNumbers:
    """What sends the numbers of one worker."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._sent: dict[str, float] = {}

    @staticmethod
    def wanted(log: Any) -> bool:
        """Whether the logger is one that sends."""
        return callable(getattr(log, "gauge", None)) and callable(getattr(log, "increment", None))

    def send(self, figures: Figures, of_all: Figures | None) -> None:
        """Send what has grown since the last time.

        Args:
            figures: of this worker.
            of_all: of all workers, if this one is to send their states; else None.
        """
        for name, count in _counts(figures).items():
            grown = count - self._sent.get(name, 0)
            self._sent[name] = count
            if grown > 0:
                self._tell(name, grown, "counter")
        lag = figures.get("loop_lag_seconds", {}).get(())
        if lag is not None:
            seconds, answers = lag[0], sum(lag[1:])
            before = self._sent.get("lag", 0.0), self._sent.get("answers", 0)
            self._sent["lag"], self._sent["answers"] = seconds, answers
            if answers > before[1]:
                self._tell("uvicorn.loop.lag", round((seconds - before[0]) / (answers - before[1]) * 1000, 3), "timer")
        for family, (name, factor) in _GAUGES.items() if of_all is not None else ():
            values = (of_all or {}).get(family)
            if values is not None:
                value = max(values.values()) if family == "pool_oldest_wait_seconds" else sum(values.values())
                self._tell(name, round(value * factor, 3), "gauge")

    def _tell(self, name: str, value: float, kind: str) -> None:
        self._log.info("", extra={"metric": name, "value": value, "mtype": kind})


def _counts(figures: Figures) -> dict[str, float]:
    counts: dict[str, float] = {}
    for family, name in _COUNTERS.items():
        values = figures.get(family, {})
        if family in _BY_LABEL:
            counts.update({f"{name}.{labels[0]}": value for labels, value in values.items()})
        else:
            counts[name] = sum(values.values())
    return counts
