"""What the calls of one consumer took, added up.

Written by the loop alone, read by whoever looks: each number by itself is whole. A thread hands over what it has
measured (`Measured`), and the loop adds it up.

The bounds of the buckets are those that OpenTelemetry advises for the durations of requests, with finer ones below and
two above; the last bucket is for what is longer.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import Final

__all__ = ["BOUNDS", "Measured", "Tally"]

#: seconds; a call belongs to the first bound that is not below what it took
BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_FIRST: Final = BOUNDS[0]


class Tally:
    """What the calls of one consumer took.

    Attributes:
        run_seconds, wait_seconds: added up.
        runs, waits: how many calls ran, or waited for a thread, for so long: one number for each bucket.
        errors: how many raised.
    """

    __slots__ = ("errors", "run_seconds", "runs", "wait_seconds", "waits")

    def __init__(self) -> None:
        self.run_seconds = self.wait_seconds = 0.0
        self.runs = [0] * (len(BOUNDS) + 1)
        self.waits = [0] * (len(BOUNDS) + 1)
        self.errors = 0

    @property
    def calls(self) -> int:
        """How many calls have ended."""
        return sum(self.runs)

    def add_run(self, seconds: float) -> None:
        """A call has ended, that took so long. Runs on: the loop."""
        self.run_seconds += seconds
        self.runs[_bucket(seconds)] += 1

    def add(self, wait: float, run: float) -> None:
        """A call has ended, that waited for a thread before. Runs on: the loop."""
        self.wait_seconds += wait
        self.waits[_bucket(wait)] += 1
        self.add_run(run)


def _bucket(seconds: float) -> int:
    return 0 if seconds <= _FIRST else bisect_left(BOUNDS, seconds)  # most calls are short


class Measured:
    """What threads have measured and the loop has not added up yet."""

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: deque[tuple[Tally, float, float]] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def hand_over(self, tally: Tally, wait: float, run: float) -> None:
        """A call has ended, that waited and ran for so many seconds. Runs on: any thread."""
        self._items.append((tally, wait, run))

    def take(self) -> None:
        """Add up what is there. Runs on: the loop."""
        items = self._items
        for _ in range(len(items)):
            tally, wait, run = items.popleft()
            tally.add(wait, run)
