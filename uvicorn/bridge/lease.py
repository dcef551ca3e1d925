"""A thread of the pool for all synchronous calls of one asynchronous request, in their order.

Theory of operation
-------------------
Frameworks that run synchronous code for an asynchronous request (asgiref's `sync_to_async`, under Django) want one
thread for all of it: database connections belong to threads. A lease is an executor for that. Its first `submit` asks
the pool for a thread; the thread then takes calls from the lease's own queue until the lease is released, when the
request is over. So there are never more such threads than the pool has, they are used again, and a request
that needs no thread takes none.

The loop alone submits and releases. A lease that is released while it still waits for a thread is taken back; one that
waits for longer than `queue_timeout` fails its calls.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from time import monotonic
from typing import Any, Final, TypeVar

from uvicorn.bridge.governor import Load
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.errors import ChannelFull

__all__ = ["Lease"]

_T = TypeVar("_T")


class Lease(Executor):
    """Run calls one after the other in one thread of a pool; a job of that pool.

    Raises: ChannelFull if the pool and its queue are full: ask before there is anything to run.
    """

    load: Final = Load()  # of all of them together: a call may be anything

    def __init__(self, pool: ConsumerPool) -> None:
        if pool.is_full:
            pool.rejected += 1
            raise ChannelFull("the pool and its queue are full")
        self.submitted_at = 0.0
        self.started_at = 0.0  # when its present call began
        self.is_waiting = False
        self._pool = pool
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._is_used = False
        self._is_released = False

    def submit(self, function: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]:
        """Have a function called in the lease's thread. Runs on: the loop."""
        if self._is_released:
            raise RuntimeError("the request is over, and its thread serves others")
        future: Future[_T] = Future()
        self._calls.put((future, partial(function, *args, **kwargs)))
        if not self._is_used:
            self._is_used = True
            self.submitted_at = monotonic()
            self._pool.submit_beyond(self)
        return future

    def release(self) -> None:
        """Give the thread back, after the calls that were submitted. Runs on: the loop."""
        self._is_released = True
        if self._is_used and not self._pool.cancel(self):
            self._calls.put(None)

    def expire(self) -> None:
        """Learn that no thread became free in time: fail the calls. Runs on: the loop."""
        self._is_released = True
        while not self._calls.empty():
            item = self._calls.get_nowait()
            if item is not None and item[0].set_running_or_notify_cancel():
                item[0].set_exception(ChannelFull("no thread became free in time"))

    def run(self) -> None:
        """Make the calls that come, until the lease is released. Runs on: a worker thread."""
        while True:
            self.is_waiting = True
            item = self._calls.get()
            self.started_at = monotonic()
            self.is_waiting = False
            if item is None:
                return
            future, call = item
            del item
            if future.set_running_or_notify_cancel():
                try:
                    result = call()
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)
                    del result
            del future, call  # or what they hold would live until the next call
