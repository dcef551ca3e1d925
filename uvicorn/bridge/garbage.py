"""How long the collector of garbage stops the process.

Python calls us at the beginning and at the end of each collection, in the thread that collects. It holds the
interpreter meanwhile, so there is one at a time and one writer at a time; whoever reads needs no lock.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from time import monotonic
from typing import Any

__all__ = ["GarbagePauses"]


class GarbagePauses:
    """The pauses of all collections since `install`.

    Attributes:
        seconds: added up.
        longest: of them, seconds.
        generation: of the last one.
        counts: collections by generation.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.seconds = 0.0
        self.longest = 0.0
        self.generation = 0
        self.counts = [0, 0, 0]
        self._clock = clock
        self._began = 0.0

    @property
    def seconds_so_far(self) -> float:
        """The same with the collection that is under way. Runs on: any thread."""
        seconds, began = self.seconds, self._began
        return seconds + (self._clock() - began if began else 0.0)

    def install(self) -> None:
        """Begin to count."""
        gc.callbacks.append(self._on_collection)

    def remove(self) -> None:
        """Count no more."""
        if self._on_collection in gc.callbacks:
            gc.callbacks.remove(self._on_collection)

    def _on_collection(self, phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            self._began = self._clock()
        elif self._began:
            pause = self._clock() - self._began
            self._began = 0.0
            self.seconds += pause
            self.longest = max(self.longest, pause)
            self.generation = generation = info["generation"]
            self.counts[min(generation, 2)] += 1
