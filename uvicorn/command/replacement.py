"""How a worker has itself replaced: a new one first, then it leaves, and the number of workers stays.

Theory of operation
-------------------
Gunicorn's master has two signals for it: TTIN adds a worker, TTOU takes one away. The worker sends both, one right
after the other. The master handles them in this order, so it forks the new worker first and asks one to leave then; the
number is what it was, whatever came before or comes after (HUP sets it anew). New connections wait in the backlog that
all workers share, until the new worker accepts them: none fails.

*Which one leaves.* The master asks the one of the lowest age. So the worker that wants to leave marks itself, in the
one thing that it shares with the master: the file of its heartbeat, which is empty otherwise. `ASGIWorker.age`, which
the master reads, is 0 then.

*Two at once.* Signals of one kind that come together are one: two workers that ask in the same moment could change the
number. So each has a moment of its own in each second, by its age. The monotonic clock is the same for all of them.

*In development* a worker that reloads cannot wait for its moment, and a request that takes long may keep an older one
that reloads, too. There the master is made to count no worker that is leaving (`count_no_leaving`), so it makes a new
one when it looks next; CHLD has it look at once.

*Where the master cannot be asked* - it runs as another user (`user`), which the system does not allow to be signalled,
or it does not answer - the worker leaves at once, and the master makes a new one when it has left.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

__all__ = ["Replacement", "count_no_leaving", "hand_over", "is_marked"]

_MOMENTS: Final = 20  # of 50 ms in each second: workers whose ages differ by fewer ask at different times
_WANTS_TO_LEAVE: Final = 1  # bytes in the file of its heartbeat
_IS_LEAVING: Final = 2
_ANSWER_SECONDS: Final = 10.0  # arbitrary: a master that is in the middle of a reload answers later


class Replacement:
    """The request for a new worker, made once. Loop thread only.

    Args:
        worker: Gunicorn's: `ppid`, `age`, `tmp` and `notify` are used.
        leave: begins the worker's stop.
    """

    def __init__(self, worker: Any, loop: asyncio.AbstractEventLoop, log: Any, leave: Callable[[], None]) -> None:
        self.is_asked = False
        self._worker = worker
        self._loop = loop
        self._log = log
        self._leave = leave

    def begin(self) -> None:
        """Ask in our moment, if we live still."""
        if not self.is_asked:
            self.is_asked = True
            self._loop.call_later(moment_of(self._worker.age, time.monotonic()), self._ask)

    def _ask(self) -> None:
        worker = self._worker
        if not worker.alive:
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
        if self._worker.alive:
            self._log.warning("The master has not answered: the worker leaves before there is a new one")
            self._leave()


def moment_of(age: int, now: float) -> float:
    """Return the seconds from now (time.monotonic()) to the next moment in which a worker of this age may ask."""
    return (age % _MOMENTS / _MOMENTS - now) % 1.0


def mark(worker: Any, state: int = _WANTS_TO_LEAVE) -> None:
    """Have the master take this worker for the oldest one. Raises: OSError."""
    os.ftruncate(worker.tmp.fileno(), state)
    worker.notify()  # the change has set the time of the file, which is the heartbeat


def is_marked(worker: Any) -> bool:
    """Whether a worker wants to leave. Runs on: the master, and the worker."""
    return _state_of(worker) >= _WANTS_TO_LEAVE


def _state_of(worker: Any) -> int:
    try:
        return os.fstat(worker.tmp.fileno()).st_size
    except (AttributeError, OSError, ValueError):  # there is no such file yet, or no more
        return 0


def hand_over(worker: Any) -> None:
    """Have the master make a worker in the place of this one, which leaves; see `count_no_leaving`.

    Runs on: any thread.
    """
    with suppress(OSError, ValueError):  # at the latest it looks after a second; the file is closed at the very end
        mark(worker, _IS_LEAVING)
        if os.getppid() == worker.ppid:
            os.kill(worker.ppid, signal.SIGCHLD)


def count_no_leaving(cfg: Any) -> None:
    """Have the master not count the workers that are leaving, from its start on. Runs in the master, before that.

    Args:
        cfg: Gunicorn's; its hook `when_ready` is given the master.
    """
    when_ready = cfg.when_ready

    def begin(master: Any) -> None:
        manage = master.manage_workers

        def manage_workers() -> None:
            leaving = sum(_state_of(worker) == _IS_LEAVING for worker in [*master.WORKERS.values()])
            master._num_workers += leaving  # not `num_workers`: that calls a hook
            try:
                manage()
            finally:
                master._num_workers -= leaving

        master.manage_workers = manage_workers
        when_ready(master)

    cfg.set("when_ready", begin)
