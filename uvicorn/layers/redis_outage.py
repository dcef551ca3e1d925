"""Whether Redis can be reached: told once when it can not, and once when it can again. And how long to wait between."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from uvicorn.layers.log import Log
from uvicorn.layers.redis_servers import told

__all__ = ["Backoff", "Outage"]

_FIRST_SECONDS: Final = 0.05
_LONGEST_SECONDS: Final = 2.0


class Backoff:
    """Seconds between two attempts: twice as many each time, with a jitter, so that workers do not come all at once."""

    def __init__(self) -> None:
        self._next = _FIRST_SECONDS

    def seconds(self) -> float:
        """Return how long to wait now."""
        seconds, self._next = self._next, min(_LONGEST_SECONDS, self._next * 2)
        return seconds * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin anew: an attempt was successful."""
        self._next = _FIRST_SECONDS


class Outage:
    """What is known of a layer's connections.

    Attributes:
        since: of the clock, since when one of them is broken; 0 if none is.
    """

    def __init__(self, name: str, clock: Callable[[], float], log: Log) -> None:
        self.since = 0.0
        self._name = name
        self._clock = clock
        self._log = log
        self._broken: set[str] = set()

    def begins(self, part: str, error: BaseException) -> None:
        """A connection is broken: "publishing", "subscribing" or "channels"."""
        if not self._broken:
            self.since = self._clock()
            self._log.error(
                "The channel layer %s cannot be reached: %s. Sending to groups and channels fails until it can",
                self._name,
                told(error),
            )
        self._broken.add(part)

    def ends(self, part: str) -> None:
        """A connection is there."""
        if part in self._broken:
            self._broken.discard(part)
            if not self._broken:
                lasted = self._clock() - self.since
                self._log.warning("The channel layer %s can be reached again, after %.1f seconds", self._name, lasted)
                self.since = 0.0
