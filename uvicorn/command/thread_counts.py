"""Counters of what threads do, for statsd: once a second, through Gunicorn's logger."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from uvicorn.bridge.dispatcher import Dispatcher

__all__ = ["ThreadCounts"]


class ThreadCounts:
    """What tells statsd how many calls frameworks have handed to threads, of each kind, and what was refused.

    Args:
        log: a logger that counts, as Gunicorn's for statsd.
    """

    def __init__(self, log: Any, dispatcher: Dispatcher) -> None:
        self._log = log
        self._dispatcher: Final = dispatcher
        self._told: Counter[str] = Counter()

    @staticmethod
    def wanted(log: Any) -> bool:
        """Whether the logger counts."""
        return callable(getattr(log, "increment", None))

    def tick(self) -> None:
        """Tell what has come since the last time. Runs on: the loop."""
        found: Counter[str] = Counter()
        for threads in self._dispatcher.frameworks.values():
            for kind, count in threads.calls.items():
                found[f"uvicorn.calls.{kind}"] += count
        found["uvicorn.rejected"] = self._dispatcher.rejected
        for name, count in found.items():
            if count > self._told[name]:
                self._log.increment(name, count - self._told[name])
        self._told = found
