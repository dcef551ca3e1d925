"""Code on the loop that waits for what only the same loop can do: `run_coroutine_threadsafe(...).result()`.

Theory of operation
-------------------
`bridge.run_on_loop`, `anyio.from_thread` and `asgiref.async_to_sync` raise at once on the loop's own thread
(`waits.py`). Here that would mean to change a class of the standard library, which all of the process shares: to call
`run_coroutine_threadsafe` on the loop is right if nobody waits there, and `concurrent.futures.Future.result` is right
for all other futures. So the watchdog looks (`loop_watch.py`): when the loop has not turned for its time, and its
thread stands in `result` or `exception` without a timeout, the future is looked up. If it is one that this very loop
must settle, the wait would be for ever, and is ended: the future is cancelled, which raises `CancelledError` on the
waiting line.

*No other wait is touched.* That the loop must settle a future is certain, and not guessed: either the function that
will begin the coroutine is in the loop's queue, and refers to both (it is found through the collector of garbage, once
for each wait, since uvloop shows its queue to nobody); or a task of this loop is chained to the future. The loop's
thread waits meanwhile, so neither can change. A future of an executor is neither.

Runs on: the watchdog's thread, but for what is said otherwise.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from concurrent.futures import Future
from types import CellType, CodeType, FrameType, FunctionType
from typing import Any, Final

from uvicorn.bridge.stacks import application_frame, frames_of, place_of

__all__ = ["SelfWait", "SelfWaits"]

_WAITS: Final = (Future.result.__code__, Future.exception.__code__)


def _inner(function: Any, *variables: str) -> CodeType | None:
    """Return the code of the function in a function that uses these variables of it; None if there is none."""
    codes = getattr(getattr(function, "__code__", None), "co_consts", ())
    return next((code for code in codes if isinstance(code, CodeType) and {*variables} <= {*code.co_freevars}), None)


# What asyncio makes of a coroutine and a future of threads. Both are None in a Python that does it otherwise.
#: what `run_coroutine_threadsafe` has the loop call
_BEGINNING: Final = _inner(asyncio.run_coroutine_threadsafe, "coro", "future", "loop")
#: what the future calls, to cancel the task (`source`) with it
_CHAINED: Final = _inner(getattr(asyncio.futures, "_chain_future", None), "source", "source_loop")


class SelfWait:
    """A wait that would never end.

    Attributes:
        line: where it waits.
        awaited: what it waits for, with its line.
    """

    def __init__(self, line: str, awaited: str, future: Future[Any]) -> None:
        self.line = line
        self.awaited = awaited
        self.future = future

    def end(self) -> None:
        """Have the wait raise `concurrent.futures.CancelledError`."""
        self.future.cancel()


class SelfWaits:
    """What finds them on one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, loop_thread: int) -> None:
        self._loop = loop
        self._loop_thread = loop_thread
        self._known: weakref.ref[Future[Any]] | None = None  # one that is settled elsewhere

    def find(self) -> SelfWait | None:
        """Return the wait in which the loop's thread stands, if it is one for itself."""
        frames = frames_of(self._loop_thread)
        waiting = next((frame for frame in frames if frame.f_code in _WAITS), None)
        if waiting is None or waiting.f_locals.get("timeout") is not None:
            return None
        future = waiting.f_locals.get("self")
        if not isinstance(future, Future) or future.done() or (self._known is not None and self._known() is future):
            return None
        awaited = self._task_of(future) or self._queued_for(future)
        if not awaited:
            self._known = weakref.ref(future)
            return None
        return SelfWait(_line_in(frames), awaited, future)

    def _task_of(self, future: Future[Any]) -> str:
        """Return which task of this loop settles a future, and where it stands; "" if none does."""
        for callback in tuple(getattr(future, "_done_callbacks", ())):
            if _CHAINED is None or getattr(callback, "__code__", None) is not _CHAINED:
                continue  # somebody else's, whatever it refers to
            task = _closure_of(callback).get("source")
            if isinstance(task, asyncio.Task) and task.get_loop() is self._loop:
                frames = frames_of(task)
                return f"{_name_of(task.get_coro())} at {_line_in(frames) if frames else 'its end'}"
        return ""

    def _queued_for(self, future: Future[Any]) -> str:
        """Return which coroutine this loop will begin for a future, and where that is; "" if it will begin none."""
        for cell in _referrers(future, CellType):
            for cells in _referrers(cell, tuple):
                for function in _referrers(cells, FunctionType):
                    values = _closure_of(function)
                    if function.__code__ is _BEGINNING and values["loop"] is self._loop:
                        coroutine = values["coro"]
                        code = getattr(coroutine, "cr_code", None)
                        place = "an unknown line" if code is None else f"{code.co_filename}:{code.co_firstlineno}"
                        return f"{_name_of(coroutine)} at {place}"
        return ""


def _referrers(thing: object, kind: type) -> Iterator[Any]:
    return (one for one in gc.get_referrers(thing) if type(one) is kind)


def _closure_of(function: Any) -> dict[str, Any]:
    """Return the variables of the functions around a function, by their names."""
    values = {}
    code = getattr(function, "__code__", None)
    for name, cell in zip(getattr(code, "co_freevars", ()), getattr(function, "__closure__", None) or (), strict=False):
        try:
            values[name] = cell.cell_contents
        except ValueError:  # it is empty
            continue
    return values


def _line_in(frames: list[FrameType]) -> str:
    return place_of(application_frame(frames))


def _name_of(coroutine: Any) -> str:
    return str(getattr(coroutine, "__qualname__", type(coroutine).__name__))
