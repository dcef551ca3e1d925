"""The end of a worker's process, also if a thread would hold it."""

from __future__ import annotations

import faulthandler
import os
import sys
from typing import Any, Final

from uvicorn.bridge.stacks import threads_left

__all__ = ["end_despite_threads"]

_LAST_SECONDS: Final = 0.1  # for threads that are about to end


def end_despite_threads(cfg: Any, log: Any, exit_code: int = 0) -> None:
    """Have the process end after Gunicorn's `worker_exit` hook, if a thread would hold it.

    Python joins every thread but daemons when it exits; a consumer, or a thread of the application, that never
    ends would keep the worker for ever. The hook is the last thing that Gunicorn does.

    Args:
        cfg: Gunicorn's; its hook is replaced by one that calls it and exits.
        exit_code: another one than 0 is what the process ends with, whatever raises on the way.
    """
    faulthandler.cancel_dump_traceback_later()
    left = [] if exit_code else threads_left(_LAST_SECONDS)
    if left:
        log.warning("Leaving without waiting for threads: %s", ", ".join(left))
    if not left and not exit_code:
        return
    hook = cfg.worker_exit

    def exit_now(server: Any, worker: Any) -> None:
        try:
            hook(server, worker)
        except Exception:
            log.exception("Exception in worker_exit hook")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)

    cfg.set("worker_exit", exit_now)
