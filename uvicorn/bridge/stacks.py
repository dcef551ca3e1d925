"""Where threads and tasks are just now, in words for a log."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
import time
import traceback

__all__ = ["describe", "describe_all_threads", "threads_left"]


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
