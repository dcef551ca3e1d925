"""Where threads and tasks are just now, in words for a log."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import sysconfig
import threading
import time
import traceback
from types import FrameType
from typing import Final

__all__ = [
    "application_frame", "describe", "describe_all_threads", "line_in", "line_of", "thread_name", "threads_left",
]  # fmt: skip

_LIBRARIES: Final = tuple(sysconfig.get_paths()[name] + os.sep for name in ("stdlib", "platlib", "purelib"))
_OURS: Final = os.path.dirname(os.path.dirname(__file__)) + os.sep


def describe(runner: asyncio.Task[None] | int) -> str:
    """Return the stack of a task, or of the thread with this identifier. Runs on: any thread."""
    if isinstance(runner, int):
        frame = sys._current_frames().get(runner)
        if frame is None:
            return "  (the thread has ended)"
        return "".join(traceback.format_stack(frame)).rstrip()
    text = io.StringIO()
    runner.print_stack(file=text)
    return text.getvalue().rstrip()


def line_of(thread_id: int) -> str:
    """Return file, line and function where a thread is just now; in the application, and below that if it is elsewhere.

    Runs on: any thread.
    """
    innermost = sys._current_frames().get(thread_id)
    return "(the thread has ended)" if innermost is None else line_in(innermost)


def line_in(innermost: FrameType) -> str:
    """Return the same for a stack, given by its innermost frame."""
    frame = application_frame(innermost)
    return _place(frame) if frame is innermost else f"{_place(frame)}, which is in {_place(innermost)}"


def application_frame(innermost: FrameType) -> FrameType:
    """Return the innermost frame that is the application's; the innermost of all if none is."""
    frame: FrameType | None = innermost
    while frame is not None and frame.f_code.co_filename.startswith(_LIBRARIES):
        frame = frame.f_back
    if frame is None or frame.f_code.co_filename.startswith(_OURS):
        return innermost
    return frame


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}, in {frame.f_code.co_name}"


def thread_name(thread_id: int) -> str:
    """Return the name of a thread. Runs on: any thread."""
    return next((thread.name for thread in threading.enumerate() if thread.ident == thread_id), str(thread_id))


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
