"""The governor for an anyio that keeps its own threads: by the tokens of its default limiter, a public interface.

`Tokens` is to the sampler what a pool is. What runs are the tokens that are borrowed, each counted as a thread that
computes; a limit is the number of tokens. Nothing tells of a busy limiter, so the worker's tick looks, once a second;
and calls are not told apart, so short ones wait behind long ones. An application that sets the number itself sets the
most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

__all__ = ["Tokens"]

_BUSY: Final = 4  # as for a pool
_MOST: Final = 1000  # where there are infinitely many


class Tokens:
    """A limiter that is governed by the number of its tokens. All methods run on: the loop.

    Args:
        limiter: anyio's default one of this loop.
    """

    def __init__(self, limiter: Any) -> None:
        self.on_busy: Callable[[], None] | None = None
        self.threads = 0
        self.limit = 0.0
        self._limiter = limiter
        self._given: float = -1  # what we have set
        self._borrowers: Any = ()
        self._first: object = None
        self._take()

    @property
    def weight(self) -> float:
        """How many calls run."""
        return float(self._limiter.borrowed_tokens)

    @property
    def held(self) -> int:
        """How many wait because of us."""
        self._take()
        waiting: int = self._limiter.statistics().tasks_waiting
        return waiting if self.limit < self.threads else 0

    @property
    def first_held(self) -> object:
        """Something that is another one when a call was let in."""
        borrowers = self._limiter.statistics().borrowers
        if borrowers != self._borrowers:
            self._borrowers, self._first = borrowers, object()
        return self._first

    @property
    def is_busy(self) -> bool:
        """Whether so much runs or waits that a limit may be needed."""
        return self._limiter.borrowed_tokens >= _BUSY or self.held > 0

    def set_limit(self, limit: float) -> None:
        """Change the number of tokens."""
        self._take()
        self.limit = limit
        self._given = self._limiter.total_tokens = max(1, min(self.threads, round(limit)))

    def measure(self, calls: int) -> None:
        """Do nothing: the calls are not ours."""

    def look(self) -> None:
        """Have a sampler watch, if the limiter is busy."""
        if self.on_busy is not None and self.is_busy:
            self.on_busy()

    def _take(self) -> None:
        """Take the number of tokens for the most, if it is not the one that we have set."""
        total = self._limiter.total_tokens
        if total != self._given:
            self.threads = int(min(total, _MOST))
            self.limit = float(self.threads)
            self._given = total
