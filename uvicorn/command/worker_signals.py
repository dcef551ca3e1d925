"""What signals do to a worker that serves: those that its loop handles, and the end of one whose loop is blocked."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback
from typing import Any, NoReturn

from uvicorn.command.blocked import report_abort
from uvicorn.command.leaving import Leaving
from uvicorn.command.process_end import end_despite_threads
from uvicorn.command.roll import FAILED

__all__ = ["end_blocked", "handle_signals"]


def handle_signals(worker: Any, loop: asyncio.AbstractEventLoop, leaving: Leaving) -> None:
    """Have the loop handle what tells the worker to leave.

    Args:
        worker: an `ASGIWorker`, as in the next function.
    """
    for number, handler in (
        (signal.SIGTERM, leaving.on_term),
        (signal.SIGINT, lambda: _on_quit(worker, leaving)),
        (signal.SIGQUIT, lambda: _on_quit(worker, leaving)),
        (signal.SIGUSR1, worker.log.reopen_files),
        (signal.SIGWINCH, lambda: None),  # it is for the master
    ):
        loop.add_signal_handler(number, handler)
    loop.add_reader(worker.PIPE[0], _on_pipe, worker, leaving)  # the reloader writes to it


def _on_quit(worker: Any, leaving: Leaving) -> None:
    leaving.on_quit()
    worker.cfg.worker_int(worker)


def _on_pipe(worker: Any, leaving: Leaving) -> None:
    try:
        os.read(worker.PIPE[0], 512)
    except BlockingIOError:
        return
    if not worker.alive:
        leaving.begin()


def end_blocked(worker: Any, leaving: Leaving | None) -> NoReturn:
    """Tell where everything stands, and leave. Runs on: the main thread, in a handler of a signal.

    Raises: SystemExit(1).
    """
    try:
        if worker.server is None and worker.entry is not None:
            worker.entry.tell(FAILED, f"it was not ready within {worker.cfg.timeout} seconds (timeout)")
        report_abort(worker.pid, worker.cfg.timeout, worker.server, worker.log)
    except Exception:
        traceback.print_exc()
    end_despite_threads(worker.cfg, worker.log, exit_code=1)
    if worker.server is not None and leaving is not None:
        leaving.hurry()  # SystemExit may end no more than the task that blocked the loop
    worker.cfg.worker_abort(worker)
    sys.exit(1)
