"""What is said of a worker whose main thread is blocked: by Python when the master sends ABRT, or else by C."""

from __future__ import annotations

import faulthandler
import sys
from typing import Any, Final

from uvicorn.bridge.stacks import describe_all_threads
from uvicorn.connections.server import Server

__all__ = ["error_stream", "report_abort", "set_stack_timer"]

_LATER_SECONDS: Final = 0.9  # after the master may have sent ABRT, and before it sends KILL
_WHY_BLOCKED: Final = (
    "its event loop has done nothing for %s seconds (timeout). What the main thread does below has blocked it, "
    "most often a coroutine that computes, or calls what waits: write it as a plain 'def', or call that with "
    "'await run_in_pool(...)'"
)
_WHY_SLOW_START: Final = (
    "the application was not imported, and had not started, within %s seconds (timeout). What the main thread does "
    "below has taken so long: make it shorter, or raise the timeout"
)


def report_abort(pid: int, timeout: float, server: Server | None, log: Any) -> None:
    """Write where everything stands. Runs on: the main thread, in a signal handler.

    Args:
        timeout: Gunicorn's setting, in seconds.
        server: None if the worker was starting still.
    """
    requests = "The worker was starting." if server is None else server.describe_requests()
    why = _WHY_BLOCKED if server is not None else _WHY_SLOW_START
    log.critical(f"Worker aborted (pid: %s): {why}\n%s\n%s", pid, timeout, requests, describe_all_threads())


def set_stack_timer(timeout: float, log: Any) -> None:
    """Have the stacks written if it is not set again in time; nothing is done for a timeout of 0.

    For C code that holds the interpreter: no handler of ABRT in Python can run then.
    """
    if not timeout:
        return
    try:
        faulthandler.dump_traceback_later(timeout + _LATER_SECONDS, file=error_stream(log))
    except (AttributeError, OSError, RuntimeError, TypeError, ValueError) as error:  # no file to write to
        log.debug("No stacks can be written for a loop that is blocked in C: %s", error)


def error_stream(log: Any) -> Any:
    """Return where the error log is written, if that is a file or a terminal, or else the standard error.

    Args:
        log: Gunicorn's.
    """
    for handler in log.error_log.handlers if hasattr(log, "error_log") else ():
        stream = getattr(handler, "stream", None)
        if hasattr(stream, "fileno"):
            return stream
    return sys.__stderr__
