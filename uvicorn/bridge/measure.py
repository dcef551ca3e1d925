"""What one call takes, measured for `Load.learn`. Runs on: the thread that makes the call."""

from __future__ import annotations

from threading import get_native_id
from time import monotonic, process_time, thread_time
from typing import Final, NamedTuple, Protocol

from uvicorn.bridge.governor import Load
from uvicorn.bridge.scheduling import read_spent

__all__ = ["SYSTEM", "Clocks", "Measure"]


class Clocks(Protocol):
    """What is read before and after a call, in seconds."""

    def now(self) -> float:
        """Monotonic time."""

    def thread_cpu(self) -> float:
        """CPU time of the calling thread."""

    def process_cpu(self) -> float:
        """CPU time of the process."""

    def ready(self) -> float:
        """How long the calling thread could have run so far, and had no processor; 0.0 if the system does not tell."""


class _SystemClocks:
    now = staticmethod(monotonic)
    thread_cpu = staticmethod(thread_time)
    process_cpu = staticmethod(process_time)

    @staticmethod
    def ready() -> float:
        spent = read_spent(get_native_id())
        return 0.0 if spent is None else spent.ready_seconds


SYSTEM: Final = _SystemClocks()


class _Reading(NamedTuple):
    now: float
    thread_cpu: float
    process_cpu: float


class Measure:
    """The measure of one call; it begins when it is made.

    Args:
        is_alone: nothing else computes now but the loop. Otherwise its waiting is not learned, and the file that says
            how long it had no processor is not read.
    """

    __slots__ = ("_before", "_clocks", "_is_alone", "_ready")

    def __init__(self, is_alone: bool, clocks: Clocks = SYSTEM) -> None:
        self._clocks = clocks
        self._is_alone = is_alone
        self._ready = clocks.ready() if is_alone else 0.0
        process_cpu, thread_cpu = clocks.process_cpu(), clocks.thread_cpu()
        self._before = _Reading(clocks.now(), thread_cpu, process_cpu)

    def end(self, load: Load, is_alone: bool) -> None:
        """Have it learned what the call took; `is_alone` as at the begin."""
        clocks, before = self._clocks, self._before
        seconds = clocks.now() - before.now
        cpu = clocks.thread_cpu() - before.thread_cpu
        others = clocks.process_cpu() - before.process_cpu - cpu
        is_alone = is_alone and self._is_alone
        load.learn(cpu, seconds, is_alone, others, clocks.ready() - self._ready if is_alone else 0.0)
