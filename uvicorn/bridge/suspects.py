"""Who runs on the loop, or in a thread, just now: consumer, request, and the line of application code.

Runs on: any thread, without a lock. What it looks at may have gone on meanwhile: it is a look, and no account.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from traceback import FrameSummary
from types import FrameType
from typing import Any, Final, NamedTuple

from uvicorn.bridge.pool import ConsumerPool
from uvicorn.bridge.serve import serve
from uvicorn.bridge.served import Served, line_with_id
from uvicorn.bridge.stacks import application_frame, frames_of, line_in, line_of, thread_name
from uvicorn.bridge.stuck import name_of_job

__all__ = [
    "Running",
    "Suspect",
    "is_idle",
    "running_in_pools",
    "suspect_in_thread",
    "suspect_of",
    "suspect_on_loop",
    "unit_on_loop",
]

Running = Callable[[], Iterable[tuple[Served, asyncio.Task[None] | int]]]

_OURS: Final = os.path.dirname(os.path.dirname(__file__)) + os.sep
_LOOPS: Final = (  # code that runs loops: outside of what is of interest, and idle when it is innermost
    os.path.join(_OURS, "command", ""),
    os.path.join(os.path.dirname(asyncio.__file__), "base_events.py"),
    os.path.join(os.path.dirname(asyncio.__file__), "events.py"),
    os.path.join(os.path.dirname(asyncio.__file__), "runners.py"),
    selectors.__file__,
)
_MOST_FRAMES: Final = 40  # of a stack that is shown; arbitrary


class Suspect(NamedTuple):
    """What a thread does just now.

    Attributes:
        name: the consumer, or whatever else it is.
        request: method and target, or "" if it is for no request.
        line: file, line and function, in words.
        place: file and line, to know it again.
        stack: from the call of the consumer on, innermost last.
    """

    name: str
    request: str
    line: str
    place: tuple[str, int]
    stack: str

    def __str__(self) -> str:
        return f"{self.name}{f' ({self.request})' if self.request else ''} at {self.line}"


def unit_on_loop(loop: asyncio.AbstractEventLoop) -> int:
    """Return what tells one task at work on the loop from another; 0 for a callback."""
    task = _current_task(loop)
    return 0 if task is None else id(task)


def is_idle(loop_thread: int) -> bool:
    """Whether a loop waits for events; or runs C code, which cannot be told apart."""
    frame = sys._current_frames().get(loop_thread)
    return frame is None or frame.f_code.co_filename.startswith(_LOOPS)


def suspect_on_loop(loop: asyncio.AbstractEventLoop, loop_thread: int, running: Running) -> Suspect | None:
    """Return what the loop does just now; None if it does nothing, or its thread has ended.

    Args:
        running: yields what runs, with its task.
    """
    frames = frames_of(loop_thread)
    if not frames or frames[0].f_code.co_filename.startswith(_LOOPS):
        return None
    task = _current_task(loop)
    served = None if task is None else _served_by(task, running)
    if served is None:  # one that was begun at once: nothing else knows of it yet
        caller = next((one for one in frames if one.f_code is serve.__code__), None)
        served = None if caller is None else caller.f_locals.get("exchange")
    if served is not None:
        name, request = served.consumer_name, line_with_id(served)
    elif task is not None:
        name, request = f"task {task.get_name()}", ""
    else:
        name, request = "a callback of the event loop", ""
    return _suspect(name, request, frames)


def running_in_pools(pools: Iterable[ConsumerPool], most: int = 5) -> str:
    """Name the jobs that run in threads and do not wait in one of our channels, and their lines; "" for none."""
    found = [
        f"  {thread_name(thread_id)} in {name_of_job(job)}\n    at {line_of(thread_id)}"
        for pool in pools
        for thread_id, job in pool.running()
        if not job.is_waiting
    ]
    more = len(found) - most
    return "\n".join(found[:most] + ([f"  and {more} more"] if more > 0 else []))


def suspect_in_thread(thread_id: int, pools: Iterable[ConsumerPool]) -> Suspect | None:
    """Return what a thread of a pool, or any other one, does just now."""
    frames = frames_of(thread_id)
    if not frames or thread_id == threading.get_ident():
        return None
    job = next((job for pool in pools for ident, job in pool.running() if ident == thread_id), None)
    exchange = getattr(job, "exchange", None)
    name = f"thread {thread_name(thread_id)}" if job is None else getattr(exchange, "consumer_name", name_of_job(job))
    return _suspect(name, line_with_id(exchange), frames)


def suspect_of(served: Served, runner: asyncio.Task[Any] | int) -> Suspect | None:
    """Return what a call does just now, by its task or its thread; None if that has ended."""
    frames = frames_of(runner)
    return _suspect(served.consumer_name, line_with_id(served), frames) if frames else None


def _suspect(name: str, request: str, frames: list[FrameType]) -> Suspect:
    place = application_frame(frames)
    shown = [FrameSummary(one.f_code.co_filename, one.f_lineno or 0, one.f_code.co_name) for one in _shown(frames)]
    stack = "".join(traceback.format_list(shown[::-1])).rstrip()
    return Suspect(name, request, line_in(frames), (place.f_code.co_filename, place.f_lineno), stack)


def _shown(frames: list[FrameType]) -> list[FrameType]:
    """Return what is worth to be shown of a stack, innermost first: what is inside of our call of the application."""
    begin = next((at for at, one in enumerate(frames) if not _is_ours(one)), 0)
    end = next((at for at, one in enumerate(frames) if at > begin and _is_ours(one)), len(frames))
    return frames[: min(end, _MOST_FRAMES)]


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith((_OURS, *_LOOPS))


def _served_by(task: asyncio.Task[Any], running: Running) -> Served | None:
    try:
        return next((served for served, runner in running() if runner is task), None)
    except RuntimeError:  # the loop goes on, and what runs has changed
        return None


def _current_task(loop: asyncio.AbstractEventLoop) -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task(loop)
    except RuntimeError:  # it changed while it was looked for
        return None
