"""How long requests were on their way from the first proxy to us: `X-Request-Start` of trusted proxies.

A proxy writes when a request came to it, by the clock on its wall, in one of several units:

    t=1700000000.123      seconds (nginx: "t=${msec}")
    1700000000123         milliseconds (Heroku)
    t=1700000000123456    microseconds (Apache: "%t")
    1700000000123456789   nanoseconds

The number of digits tells which. What is between is the time in the proxy's queue, on the wire, and in the backlog of
our socket: where requests wait and the server itself cannot see it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, Final

from uvicorn.bridge.tally import Tally

__all__ = ["UpstreamTimes", "read_start"]

_FIELDS: Final = (b"x-request-start", b"x-queue-start")
_START: Final = re.compile(rb"(?:t=)?([0-9]{10}|[0-9]{13}|[0-9]{16}|[0-9]{19})(\.[0-9]{1,9})?")
_UNITS: Final = {10: 1.0, 13: 1e3, 16: 1e6, 19: 1e9}  # digits -> in a second
_MOST_SECONDS: Final = 3600.0  # arbitrary: what is longer was no wait, but another clock
_SKEW_SECONDS: Final = 1.0  # arbitrary: two clocks differ by less, if somebody looks after them


class UpstreamTimes:
    """An attendant that measures it.

    Args:
        clock: the time of day, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock: Final = clock
        self._tally: Final = Tally()

    def begin(self, exchange: Any, message: dict[str, Any], is_believed: bool) -> None:
        """Read what a trusted proxy says; of several fields the last one, which is the nearest proxy's."""
        if not is_believed:
            return
        said = b""
        for name, value in exchange.headers:
            if name in _FIELDS:
                said = value
        start = read_start(said)
        if start is None:
            return
        seconds = self._clock() - start
        if -_SKEW_SECONDS <= seconds <= _MOST_SECONDS:
            exchange.attended.upstream_seconds = max(0.0, seconds)
            self._tally.add_run(exchange.attended.upstream_seconds)

    def end(self, exchange: Any) -> None:
        """Do nothing."""

    def end_socket(self, socket: Any) -> None:
        """Do nothing."""

    def figures(self) -> dict[str, Any]:
        """Return the histogram."""
        return {"upstream_seconds": {(): [self._tally.run_seconds, *self._tally.runs]}}


def read_start(value: bytes) -> float | None:
    """Return the time of day, in seconds, that a field says; None if it says none."""
    found = _START.fullmatch(value)
    if found is None:
        return None
    return float(value[found.start(1) :]) / _UNITS[len(found[1])]
