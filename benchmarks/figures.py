"""Numbers from rounds: the middle, the spread, and ratios pair by pair. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Figure", "figure", "percentile", "ratio"]


@dataclass(frozen=True)
class Figure:
    """A median and the range that it comes from."""

    median: float
    low: float
    high: float

    def shown(self, digits: int) -> str:
        """Return it as tables show it."""
        return f"{self.median:,.{digits}f} ({self.low:,.{digits}f} to {self.high:,.{digits}f})"


def figure(values: Sequence[float]) -> Figure:
    """Return the middle and the range of what was measured, one value for each round."""
    return Figure(statistics.median(values), min(values), max(values))


def ratio(above: Sequence[float], below: Sequence[float]) -> Figure | None:
    """Return above / below, round by round: neighbours in time had the same machine. None if a round has only one.

    Rounds in which `below` is 0 have no ratio; without any other there is none.
    """
    if len(above) != len(below):
        return None
    pairs = [a / b for a, b in zip(above, below, strict=True) if b]
    return figure(pairs) if pairs else None


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the least value that so many percent of all values do not exceed (the nearest rank).

    Raises: ValueError if there are no values.
    """
    if not values:
        raise ValueError("no values")
    ranked = sorted(values)
    rank = -(-len(ranked) * percent // 100)
    return ranked[max(int(rank), 1) - 1]
