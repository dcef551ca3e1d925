"""From a thread to the loop, in application code: `run_on_loop`.

Theory of operation
-------------------
It makes a *visit*: the loop runs the coroutine as a task, and the thread waits in the visit's queue. What comes out of
it is either the end, or a call: a coroutine on a visit that calls `run_in_pool` is served by the very thread that waits
for it (`pool_call.py`).

*No wait is for ever.* The loop alone puts into a visit's queue: calls while the task runs, and the end once, when the
task is done or the worker stops. A visit that comes after the stop is ended at once.

*The wrong side* is an error at once: on the loop this would block it for ever.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import queue
from collections.abc import Coroutine
from threading import get_ident
from typing import Any, TypeVar

from uvicorn.bridge.crossing import Crossing, crossing_of, restore
from uvicorn.bridge.pool_call import PoolCall, current_visit
from uvicorn.bridge.waits import blocking, on_loop
from uvicorn.bridge.work import Nest, nested_below
from uvicorn.errors import ServerStopping

__all__ = ["run_on", "run_on_loop"]

_T = TypeVar("_T")


def run_on_loop(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine on the worker's loop, and wait for it: `result = run_on_loop(coroutine)`.

    Raises: WrongSide at once on the loop; TypeError for what is no coroutine; ServerStopping if the worker cannot wait
        any longer; and what the coroutine raises, with its traceback.
    Runs on: any thread but the loop's. Blocks: until the coroutine has ended, or the worker stops.
    """
    if not inspect.iscoroutine(coroutine):
        raise TypeError(f"run_on_loop takes a coroutine, what calling an 'async def' gives, not {coroutine!r}")
    try:
        crossing = crossing_of("run_on_loop")
        if get_ident() == crossing.outbox.loop_thread:
            raise on_loop("bridge.run_on_loop", coroutine)
    except BaseException:
        coroutine.close()
        raise
    result: _T = run_on(crossing, coroutine)
    return result


def run_on(crossing: Crossing, coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine on the loop of a worker that is known, and wait for it; as `run_on_loop` does."""
    visit = _Visit(crossing, coroutine)
    with blocking("bridge.run_on_loop", coroutine, crossing.outbox.loop_thread):
        crossing.outbox.put(visit.begin)
        visit.wait()
    restore(visit.context)
    error, visit.error = visit.error, None
    if error is not None:
        try:
            raise error
        finally:
            del error, visit  # or the traceback and this frame would hold each other
    result: _T = visit.result
    return result


class _Visit:
    """One coroutine that a thread waits for."""

    def __init__(self, crossing: Crossing, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._calls: queue.SimpleQueue[PoolCall | None] = queue.SimpleQueue()
        self.context = contextvars.copy_context()
        self.result: Any = None
        self.error: BaseException | None = None
        self.is_open = False  # its thread takes calls; loop only
        self._crossing = crossing
        self._coroutine = coroutine
        self._outer = current_visit.get()
        self._was_nested = nested_below.get()
        self._task: asyncio.Task[None] | None = None

    def wait(self) -> None:
        """Make the calls that come, until the end. Runs on: the thread."""
        while (call := self._calls.get()) is not None:
            call.run()

    # ---- on the loop ----

    def take(self, call: PoolCall) -> None:
        """Have the thread make a call."""
        self._calls.put(call)

    def begin(self, _: object = None) -> None:
        """Start the task."""
        if self._crossing.is_stopping:
            self._coroutine.close()
            self.error = ServerStopping("the worker is stopping")
            self._calls.put(None)
            return
        self.is_open = True
        self._crossing.visits.add(self)
        self.context.run(current_visit.set, self)
        self.context.run(nested_below.set, Nest())
        self._task = self.context.run(self._crossing.outbox.loop.create_task, self._run())

    def stop(self) -> None:
        """Cancel the task, and let the thread go at once."""
        if self.is_open:
            self._end(ServerStopping("the worker is stopping"))
            if self._task is not None:
                self._task.cancel()
                self._task.add_done_callback(self._close)  # it may not have begun, and has not awaited it then

    def _close(self, _: object) -> None:
        self._coroutine.close()

    async def _run(self) -> None:
        try:
            self.result = await self._coroutine
        except BaseException as error:
            self._leave_context()
            self._end(error)
        else:
            self._leave_context()
            self._end(None)

    def _leave_context(self) -> None:
        """Keep what the coroutine has set: the task runs in a copy of our context."""
        current_visit.set(self._outer)
        nested_below.set(self._was_nested)
        self.context = contextvars.copy_context()

    def _end(self, error: BaseException | None) -> None:
        if self.is_open:
            self.is_open = False
            self.error = error
            self._crossing.visits.discard(self)
            self._calls.put(None)
