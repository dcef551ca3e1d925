"""What the log says of a loop that did not turn: one line for each cause, and the same place once a minute.

Runs on: the watchdog's thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, Protocol

from uvicorn.bridge.garbage import GarbagePauses
from uvicorn.bridge.outbox import Log
from uvicorn.bridge.scheduling import Cause
from uvicorn.bridge.self_waits import SelfWait
from uvicorn.bridge.suspects import Suspect

__all__ = ["Looks", "LoopReports"]

_AGAIN_SECONDS: Final = 60.0  # between two lines of one place
_MOST_PLACES: Final = 256  # that are remembered; arbitrary
_ADVICE: Final = (
    "Make it a plain 'def', which runs in a thread, or await what blocks with bridge.run_in_pool(function, ...)"
)


class Looks(Protocol):
    """How to find out who runs."""

    def unit(self) -> object:
        """Return what changes when the loop goes on to other work."""

    def is_idle(self) -> bool:
        """Whether the loop waits for events, or runs C code."""

    def on_loop(self) -> Suspect | None:
        """What the loop does."""

    def in_thread(self, thread_id: int) -> Suspect | None:
        """What a thread does."""

    def self_wait(self) -> SelfWait | None:
        """Whether the loop waits for itself."""

    def computing(self) -> str:
        """Name the jobs that run in threads."""


class LoopReports:
    """What writes the lines. Each of its methods returns what it has named, or "" if it was named a short time ago.

    Args:
        looks: find out who runs.
        garbage: tells which collection it was.
    """

    def __init__(self, log: Log, looks: Looks, garbage: GarbagePauses) -> None:
        self._log = log
        self._looks = looks
        self._garbage = garbage
        self._told: dict[object, float] = {}

    def block(self, cause: Cause, seen: Sequence[Suspect], seconds: float, now: float, so_far: str = "") -> str:
        """Tell of a loop that has not turned for so long.

        Args:
            seen: what it did, at some moments.
            now: monotonic time.
            so_far: " so far" if it lasts.
        """
        if cause is Cause.COLLECTOR:
            return self.collector(seconds, now)
        if cause is Cause.MACHINE:
            return self.machine(seconds, now)
        if cause is Cause.INTERPRETER:
            return self.interpreter(seconds, now)
        if not seen:
            return ""  # it was between two calls of Python code
        places = Counter(suspect.place for suspect in seen)
        place = places.most_common(1)[0][0]
        suspect = next(suspect for suspect in seen if suspect.place == place)
        if not self._is_due(place, now):
            return ""
        self._log.warning(
            "%s %s the event loop for %.2f seconds%s%s at %s. %s\n%s",
            suspect.name,
            "computed on" if cause is Cause.COMPUTING else "blocked",
            seconds,
            so_far,
            f": {suspect.request}" if suspect.request else "",
            suspect.line,
            _ADVICE,
            suspect.stack,
        )
        return str(suspect)

    def self_wait(self, wait: SelfWait, suspect: Suspect | None, seconds: float, now: float) -> str:
        """Tell of code on the loop that waits for the loop, and is about to get an error."""
        if not self._is_due((wait.line, wait.awaited), now):
            return ""
        self._log.error(
            "%s would have waited for ever%s: the event loop waits at %s for %s, which runs when that has ended. "
            "It got CancelledError after %.2f seconds. Await it instead%s",
            "Code on the event loop" if suspect is None else suspect.name,
            f", for {suspect.request}" if suspect is not None and suspect.request else "",
            wait.line,
            wait.awaited,
            seconds,
            "" if suspect is None else f"\n{suspect.stack}",
        )
        return f"a wait for itself at {wait.line}"

    def end(self, told: str, seconds: float) -> None:
        """Tell that the loop turns again, of a block that was told while it lasted."""
        self._log.warning("The event loop turns again, after %.2f seconds: %s", seconds, told)

    def collector(self, seconds: float, now: float) -> str:
        """Tell of a collection of garbage."""
        if not self._is_due(Cause.COLLECTOR, now):
            return ""
        self._log.warning(
            "A collection of garbage (generation %d) stopped the worker for %.2f seconds: many objects are alive. "
            "See gc.freeze and gc.set_threshold",
            self._garbage.generation,
            seconds,
        )
        return "a collection of garbage"

    def machine(self, seconds: float, now: float) -> str:
        """Tell of a machine that had no time."""
        if not self._is_due(Cause.MACHINE, now):
            return ""
        self._log.warning(
            "The worker got no processor for %.2f seconds: it was stopped (SIGSTOP, a suspended machine), or the "
            "machine is busy with other work",
            seconds,
        )
        return "a machine that had no time"

    def interpreter(self, seconds: float, now: float) -> str:
        """Tell of threads that compute while the loop is ready."""
        if not self._is_due(Cause.INTERPRETER, now):
            return ""
        self._log.warning(
            "The event loop was ready and did not get the interpreter for %.2f seconds: threads compute. More workers, "
            "or fewer threads, and see governor and switch_interval\n%s",
            seconds,
            self._looks.computing(),
        )
        return "computing threads"

    def held(self, suspect: Suspect | None, seconds: float, now: float) -> str:
        """Tell of C code that has kept the interpreter."""
        if not self._is_due(Cause.HELD if suspect is None else suspect.place, now):
            return ""
        self._log.warning(
            "C code kept the interpreter for %.2f seconds, and nothing else ran meanwhile: %s. Call it in another "
            "process, or let it release the interpreter%s",
            seconds,
            "it is not known whose" if suspect is None else suspect,
            "" if suspect is None else f"\n{suspect.stack}",
        )
        return str(suspect)

    def _is_due(self, place: object, now: float) -> bool:
        if now - self._told.get(place, -_AGAIN_SECONDS) < _AGAIN_SECONDS:
            return False
        self._told.pop(place, None)
        if len(self._told) >= _MOST_PLACES:
            del self._told[next(iter(self._told))]
        self._told[place] = now
        return True
