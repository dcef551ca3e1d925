"""Threads that wait for the loop, and the one rule for what would wait for itself.

Theory of operation
-------------------
There are three ways from a thread to the loop: `bridge.run_on_loop`, `anyio.from_thread` and `asgiref.async_to_sync`. A
thread that uses one of the first two stands in `waiting` meanwhile, and its job is marked as waiting, so that it does
not count as computing. The third makes calls for the loop meanwhile, and counts.

Three things would wait for each other for ever, and are an error at once, with both lines:

- the loop's own thread asks the loop (`on_loop`);
- a loop that a thread runs itself (`asyncio.run`) hands a call to that very thread (`on_own_thread`);
- a coroutine that a thread waits for hands a call to that very thread, which thread-sensitive code wants
  (`refuse_deadlock`, asked by the lease).

`asyncio.run_coroutine_threadsafe(...).result()` on the loop cannot raise at once: the watchdog ends it
(`self_waits.py`).

A pool that is full of threads that wait is no such case: what they wait for gets an extra thread
(`framework_calls.py`).
"""

from __future__ import annotations

import inspect
import os
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from types import FrameType
from typing import Any, Final

from uvicorn.bridge.consumer import name_of
from uvicorn.errors import WrongSide

__all__ = ["blocking", "marker", "on_loop", "on_own_thread", "refuse_deadlock", "waiting"]

marker: list[Callable[[bool], None]] = []  # marks the job of the calling thread as waiting; one, while a worker runs
#: identifier of each thread that waits for the loop -> what for
waiting: Final[dict[int, str]] = {}
_PASSED: Final = (
    os.path.dirname(os.path.dirname(__file__)) + os.sep,
    sysconfig.get_paths()["stdlib"] + os.sep,
)
_FRAMEWORKS: Final = tuple(f"{os.sep}site-packages{os.sep}{name}{os.sep}" for name in ("anyio", "asgiref"))


@contextmanager
def blocking(what: str, function: Any, loop_thread: int) -> Iterator[None]:
    """A context manager around a wait for the loop.

    Args:
        function: what is waited for: a callable, or a coroutine.

    Raises: WrongSide on the loop's own thread. Runs on: any thread.
    """
    own = get_ident()
    if own == loop_thread:
        raise on_loop(what, function)
    before = waiting.get(own)
    waiting[own] = f"{what} for {_name(function)}"
    _mark(True)
    try:
        yield
    finally:
        if before is None:
            waiting.pop(own, None)
            _mark(False)
        else:
            waiting[own] = before


def on_loop(what: str, function: Any) -> WrongSide:
    """Return the error for a wait for the loop on the loop's own thread, with the lines of both."""
    return WrongSide(
        f"{what} is for threads, and this is the loop's: it would wait at {_line(sys._getframe())} for "
        f"{_name(function)} at {_beginning(function)}, which runs when it has ended. Await it instead"
    )


def on_own_thread(name: str) -> WrongSide:
    """Return the error for a call that a loop of its own thread's hands to that thread, with the lines of both."""
    frame: FrameType | None = sys._getframe()
    inner = _line(frame)
    while frame is not None and frame.f_code.co_name != "run_until_complete":
        frame = frame.f_back
    return WrongSide(
        f"this would wait for ever: a thread runs a loop of its own at {_line(frame)}, and that hands {name} to the "
        f"same thread at {inner}. Use async_to_sync there, which serves such calls"
    )


def _mark(is_waiting: bool) -> None:
    for mark in marker:
        mark(is_waiting)


def refuse_deadlock(thread_id: int, name: str) -> None:
    """Refuse a call for a thread that waits for the coroutine which hands it over. Runs on: the loop.

    Args:
        name: how logs call what is handed over.

    Raises: WrongSide.
    """
    what = waiting.get(thread_id)
    if what is None:
        return
    frame = sys._current_frames().get(thread_id)
    raise WrongSide(
        f"this would wait for ever: a thread waits at {_line(frame)} in {what}, and what it waits for hands "
        f"{name} to the same thread at {_line(sys._getframe())}. Call it in the thread before, or use "
        "async_to_sync there, which serves such calls"
    )


def _line(frame: FrameType | None) -> str:
    """Return where application code is: the innermost frame that is not ours, a framework's, or the library's."""
    innermost = frame
    while frame is not None:
        path = frame.f_code.co_filename
        if not path.startswith(_PASSED) and not any(name in path for name in _FRAMEWORKS):
            return f"{path}:{frame.f_lineno}"
        frame = frame.f_back
    return f"{innermost.f_code.co_filename}:{innermost.f_lineno}" if innermost is not None else "(an unknown line)"


def _name(function: Any) -> str:
    return str(function.__qualname__) if inspect.iscoroutine(function) else name_of(function)


def _beginning(function: Any) -> str:
    code = function.cr_code if inspect.iscoroutine(function) else getattr(function, "__code__", None)
    return "an unknown line" if code is None else f"{code.co_filename}:{code.co_firstlineno}"
