"""Where threads and tasks are just now, in words for a log."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from functools import cache
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any, Final

__all__ = [
    "application_frame", "describe", "describe_all_threads", "frames_of", "is_main_thread", "line_in", "line_of",
    "place_of", "thread_name", "threads_left",
]  # fmt: skip

#: what a task may await, and have a stack there: its frame, and what it awaits in turn
_KINDS: Final = {
    CoroutineType: ("cr_frame", "cr_await"),
    GeneratorType: ("gi_frame", "gi_yieldfrom"),
    AsyncGeneratorType: ("ag_frame", "ag_await"),
}
_OURS: Final = os.path.dirname(os.path.dirname(__file__)) + os.sep


def describe(runner: asyncio.Task[None] | int) -> str:
    """Return the stack of a task, or of the thread with this identifier. Runs on: any thread."""
    frames = frames_of(runner)
    if not frames:
        return f"  (the {'thread' if isinstance(runner, int) else 'task'} has ended)"
    return "".join(traceback.format_list([_summary(frame) for frame in reversed(frames)])).rstrip()


def frames_of(runner: asyncio.Task[Any] | int) -> list[FrameType]:
    """Return the stack of a thread, or of a task through all that it awaits, innermost first. Runs on: any thread."""
    frames: list[FrameType] = []
    if isinstance(runner, int):
        frame = sys._current_frames().get(runner)
    else:
        awaited: Any = runner.get_coro()
        while awaited is not None:
            kind = _KINDS.get(type(awaited))
            if kind is None:
                break
            frame, awaited = (getattr(awaited, name, None) for name in kind)
            if frame is not None:
                frames.insert(0, frame)
        frame = frames.pop(0) if frames else None
    outer: list[FrameType] = []
    while frame is not None and frame not in frames:  # what runs just now has its callers instead
        outer.append(frame)
        frame = frame.f_back
    return outer + frames


def _summary(frame: FrameType) -> traceback.FrameSummary:
    return traceback.FrameSummary(frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_name)


def line_of(thread_id: int) -> str:
    """Return file, line and function where a thread is just now; in the application, and below that if it is elsewhere.

    Runs on: any thread.
    """
    frames = frames_of(thread_id)
    return line_in(frames) if frames else "(the thread has ended)"


def line_in(frames: Sequence[FrameType]) -> str:
    """Return the same for a stack, innermost frame first."""
    frame = application_frame(frames)
    return place_of(frame) if frame is frames[0] else f"{place_of(frame)}, which is in {place_of(frames[0])}"


def application_frame(frames: Sequence[FrameType]) -> FrameType:
    """Return the innermost frame that is the application's; the innermost of all if none is."""
    for frame in frames:
        if frame.f_code.co_filename.startswith(_OURS):
            break
        if not frame.f_code.co_filename.startswith(_libraries()):
            return frame
    return frames[0]


@cache
def _libraries() -> tuple[str, ...]:
    """Return the folders of what is no application."""
    import sysconfig  # only here: it loads all that Python was built with

    return tuple(sysconfig.get_paths()[name] + os.sep for name in ("stdlib", "platlib", "purelib"))


def place_of(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}, in {frame.f_code.co_name}"


def thread_name(thread_id: int) -> str:
    """Return the name of a thread. Runs on: any thread."""
    return next((thread.name for thread in threading.enumerate() if thread.ident == thread_id), str(thread_id))


def is_main_thread() -> bool:
    """Whether the caller is in the thread that gets the signals. Runs on: any thread."""
    return threading.current_thread() is threading.main_thread()


def threads_left(seconds: float) -> list[str]:
    """Wait this long for threads that end by themselves, and name those that would hold the exit of the process.

    Blocks: for `seconds` at most. Runs on: the main thread, when the loop is closed.
    """
    deadline = time.monotonic() + seconds
    own = threading.current_thread()
    left = [thread for thread in threading.enumerate() if thread is not own and not thread.daemon]
    for thread in left:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread.name for thread in left if thread.is_alive()]


def describe_all_threads() -> str:
    """Return the stack of every thread, each under its name. Runs on: any thread."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = []
    for thread_id, frame in sys._current_frames().items():
        stack = "".join(traceback.format_stack(frame)).rstrip()
        parts.append(f"Thread {names.get(thread_id, thread_id)}:\n{stack}")
    return "\n".join(parts)
