"""What runs, for requests and for sockets: one registry for whoever has to know, to cancel or to wait.

Theory of operation
-------------------
All on the loop. A call is written down where it is started, and crossed out where it is seen to have returned. Nothing
stands in two places: the call of a request in a thread is known to the pool alone, and asked for there; that of a
socket is here too, since it is over only when the loop has heard of it, and may wait where no pool knows of it.

*Cancelled later.* When a client has left, the task that runs for it has some seconds left. The registry keeps when they
end, and not which call it was: whoever crosses a call out forgets that as well, so it never meets the next one.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable, Iterator
from typing import Any, Final, cast

from uvicorn.bridge.jobs import CallJob, SocketJob
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.bridge.served import Served, ServedSocket
from uvicorn.bridge.thread_call import ThreadCall

__all__ = ["Running"]


class Running:
    """The calls that run, or are about to.

    Attributes:
        requests: exchange -> the task of its asynchronous consumer; written by the dispatcher and the task.
        sockets: socket -> the task that calls its consumer just now, or the job that does or waits for a thread.
        is_stopped: nothing more is to begin for sockets.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, pools: Iterable[ConsumerPool]) -> None:
        self._loop = loop
        self._pools = tuple(pools)
        self.requests: Final[dict[Served, asyncio.Task[None]]] = {}
        self.sockets: Final[dict[ServedSocket, asyncio.Task[None] | SocketJob]] = {}
        self._kept: dict[asyncio.Task[None], ServedSocket] = {}
        self._due: dict[Served, float] = {}  # when to cancel its task, loop time
        self.is_stopped = False

    def keep(self, task: asyncio.Task[None], socket: ServedSocket) -> None:
        """Count a task that runs beside the calls of a socket; what it raises comes to `socket.on_failed`."""
        self._kept[task] = socket
        task.add_done_callback(self._on_kept_ended)

    def on_returned(self, socket: ServedSocket) -> None:
        """The call of a socket has ended."""
        self.sockets.pop(socket, None)
        if self._due:
            self._due.pop(socket, None)

    def take_back(self, job: CallJob) -> bool:
        """Keep a job that is still queued from taking a thread; return whether it was."""
        if job.pool.cancel(job):
            job.forget()
            return True
        return False

    def cancel(self, owner: Served, grace: float) -> bool:
        """Cancel what runs on the loop for a request or a socket, after `grace` seconds; return whether something does.

        What runs in a thread is left alone: it notices at its next `send` or `receive`.
        """
        if self._task(owner) is None:
            return False
        self._due[owner] = self._loop.time() + grace
        return True

    def tick(self) -> None:
        """Cancel what is due."""
        now = self._loop.time()
        for owner, due in tuple(self._due.items()):
            task = self._task(owner)
            if task is None or due <= now:
                del self._due[owner]
            if task is not None and due <= now:
                self._cancel(owner, task, "the client has left")

    def abort(self) -> None:
        """Cancel every task, because the worker stops."""
        self.is_stopped = True
        for owner in (*self.requests, *self.sockets):
            task = self._task(owner)
            if task is not None:
                self._cancel(owner, task, "the worker is stopping")
        for kept in tuple(self._kept):
            kept.cancel("the worker is stopping")

    def calls(self) -> Iterator[tuple[Served, asyncio.Task[None] | int]]:
        """Yield each request and socket that something runs for, with its task or its thread's identifier."""
        for owner in (*self.requests, *self.sockets):
            task = self._task(owner)
            if task is not None:
                yield owner, task
        for task, socket in tuple(self._kept.items()):
            yield socket, task
        for pool in self._pools:
            for thread_id, job in pool.running():
                if isinstance(job, CallJob):
                    yield job.exchange, thread_id

    @property
    def is_idle(self) -> bool:
        """Whether no consumer runs, none waits and none is kept; those that are stuck are not counted.

        Nor are the requests behind those that are stuck. A call of a framework is awaited by a task, which counts; one
        that nobody awaits any more keeps no worker.
        """
        if self.requests or self._kept:
            return False
        for call in self.sockets.values():
            if not isinstance(call, SocketJob) or not call.pool.is_stuck(call):
                return False
        for pool in self._pools:
            if pool.queued and pool.stuck < pool.threads:
                return False
            for _, job in pool.running():
                if not isinstance(job, ThreadCall) and not pool.is_stuck(job):
                    return False
        return True

    def _task(self, owner: Served) -> asyncio.Task[None] | None:
        """Return what runs on the loop for a request or a socket."""
        call = self.requests.get(owner) or self.sockets.get(cast(Any, owner))  # whichever it is
        return None if isinstance(call, SocketJob) else call

    def _cancel(self, owner: Served, task: asyncio.Task[None], reason: str) -> None:
        if inspect.getcoroutinestate(cast(Any, task.get_coro())) == inspect.CORO_CREATED:
            self.requests.pop(owner, None)
            owner.on_not_called()  # the task will never enter its `try`, and cannot tell
        task.cancel(reason)

    def _on_kept_ended(self, task: asyncio.Task[None]) -> None:
        socket = self._kept.pop(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            socket.on_failed(error)
