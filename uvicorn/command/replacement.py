"""How a worker has itself replaced: a new one first, then it leaves, and the number of workers stays.

Theory of operation
-------------------
The worker marks itself, in the one thing that it shares with the master whoever that is: the file of its heartbeat,
which is empty otherwise. The `uvicorn` command's master (`arbiter.py`) looks at it once a second, makes a new worker,
and tells this one to leave when the new one is ready.

Gunicorn's own master has two signals for it: TTIN adds a worker, TTOU takes one away. The worker sends both, one right
after the other. The master handles them in this order, so it forks the new worker first and asks one to leave then; the
number is what it was, whatever came before or comes after (HUP sets it anew). The one that is asked goes on accepting
until the new one is ready (`departure.py`). If that cannot start, it asks again later.

*Which one leaves.* The master asks the one of the lowest age: `ASGIWorker.age`, which the master reads, is 0 for one
that wants to leave. For one that is leaving it is the highest: it needs not be asked again.

*Two at once.* Signals of one kind that come together are one: two workers that ask in the same moment could change the
number. So each has a moment of its own in each second, by its age. The monotonic clock is the same for all of them.

*Who is counted.* The master counts no worker that is leaving (`plain_master.py`): one that takes long to answer what it
has would stand for one that serves. How many those are, and the ages, come from one look: if a worker marked itself
between two, the master would tell one too many to leave, which is then a new one.

*Where the master cannot be asked* - it runs as another user (`user`), which the system does not allow to be signalled,
or it does not answer - the worker leaves at once, and the master makes a new one when it has left.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

__all__ = [
    "Replacement", "age_for_master", "hand_over", "is_leaving", "mark", "mark_as_leaving", "moment_of", "one_look",
    "unmark", "wake_master", "wants_to_leave",
]  # fmt: skip

_MOMENTS: Final = 20  # of 50 ms in each second: workers whose ages differ by fewer ask at different times
_WANTS_TO_LEAVE: Final = 1  # bytes in the file of its heartbeat
_IS_LEAVING: Final = 2
_ANSWER_SECONDS: Final = 10.0  # arbitrary: a master that is in the middle of a reload answers later
_AGAIN_SECONDS: Final = 60.0  # after a new worker could not start; arbitrary


class Replacement:
    """The request for a new worker, made once. Loop thread only.

    Args:
        worker: Gunicorn's: `ppid`, `age`, `tmp` and `notify` are used.
        leave: begins the worker's stop.
        is_orderly: the master looks at the mark, and needs no signals.
        is_told: returns whether the master has told the worker to leave.
    """

    def __init__(
        self,
        worker: Any,
        loop: asyncio.AbstractEventLoop,
        log: Any,
        leave: Callable[[], None],
        is_orderly: bool = False,
        is_told: Callable[[], bool] = lambda: False,
    ) -> None:
        self.is_asked = False
        self._worker = worker
        self._loop = loop
        self._log = log
        self._leave = leave
        self._is_orderly = is_orderly
        self._is_told = is_told

    def begin(self) -> None:
        """Ask in our moment, if we live still."""
        if not self.is_asked:
            self.is_asked = True
            if self._is_orderly:
                with suppress(OSError, ValueError):
                    mark(self._worker)
                wake_master(self._worker)
                return
            self._loop.call_later(moment_of(self._worker.age, time.monotonic()), self._ask)

    def ask_again(self) -> None:
        """Ask once more, later: the new worker could not start. Nothing is done if none was asked for."""
        if self.is_asked:
            self._loop.call_later(_AGAIN_SECONDS, self._ask)

    def _ask(self) -> None:
        worker = self._worker
        if not worker.alive or self._is_told():
            return  # we leave already, and whoever told us so counts us no more
        master = worker.ppid
        try:
            if os.getppid() != master:
                raise ProcessLookupError("the master has gone")
            mark(worker)
            os.kill(master, signal.SIGTTIN)
            os.kill(master, signal.SIGTTOU)
        except OSError as error:
            self._log.warning("The master cannot be asked for a new worker before this one leaves: %s", error)
            self._leave()
            return
        self._loop.call_later(_ANSWER_SECONDS, self._leave_unasked)

    def _leave_unasked(self) -> None:
        if self._worker.alive and not self._is_told() and wants_to_leave(self._worker):
            self._log.warning("The master has not answered: the worker leaves before there is a new one")
            self._leave()


def moment_of(age: int, now: float) -> float:
    """Return the seconds from now (time.monotonic()) to the next moment in which a worker of this age may ask."""
    return (age % _MOMENTS / _MOMENTS - now) % 1.0


def mark(worker: Any, state: int = _WANTS_TO_LEAVE) -> None:
    """Have the master take this worker for the oldest one. Raises: OSError."""
    os.ftruncate(worker.tmp.fileno(), state)
    worker.notify()  # the change has set the time of the file, which is the heartbeat


def mark_as_leaving(worker: Any) -> None:
    """Have the master not count this worker any more, nor tell it again to leave."""
    with suppress(OSError, ValueError):  # the file is closed at the very end
        mark(worker, _IS_LEAVING)


def unmark(worker: Any) -> None:
    """Have the master count this worker as any other."""
    with suppress(OSError, ValueError):
        mark(worker, 0)


def wants_to_leave(worker: Any) -> bool:
    """Whether a worker wants another one in its place. Runs on: the master, and the worker."""
    return _state_of(worker) == _WANTS_TO_LEAVE


def is_leaving(worker: Any) -> bool:
    """Whether a worker leaves. Runs on: the master, and the worker."""
    return _state_of(worker) == _IS_LEAVING


@contextmanager
def one_look(workers: Iterable[Any]) -> Iterator[int]:
    """Have what is read of these workers be what it is now; yield how many of them leave. Runs on: the master."""
    seen = [*workers]
    for worker in seen:
        worker.seen_state = _state_of(worker)
    try:
        yield sum(map(is_leaving, seen))
    finally:
        for worker in seen:
            worker.seen_state = None


def age_for_master(worker: Any, age: int) -> int:
    """Return what Gunicorn's master takes for a worker's age: it tells the one of the lowest to leave."""
    state = _state_of(worker)
    return 0 if state == _WANTS_TO_LEAVE else sys.maxsize if state == _IS_LEAVING else age


def _state_of(worker: Any) -> int:
    seen: int | None = getattr(worker, "seen_state", None)
    if seen is not None:
        return seen
    try:
        return os.fstat(worker.tmp.fileno()).st_size
    except (AttributeError, OSError, ValueError):  # there is no such file yet, or no more
        return 0


def hand_over(worker: Any) -> None:
    """Have the master make a worker in the place of this one, which leaves. Runs on: any thread."""
    mark_as_leaving(worker)
    wake_master(worker)


def wake_master(worker: Any) -> None:
    """Have the master look at its workers now; otherwise it does after a second at the latest."""
    with suppress(OSError):  # it may be another user's
        if os.getppid() == worker.ppid:
            os.kill(worker.ppid, signal.SIGCHLD)
