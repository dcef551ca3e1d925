"""A worker that cannot start: it says why, and decides whether the master has to end with it."""

from __future__ import annotations

import sys
from typing import Any, Final, NoReturn

from gunicorn.errors import AppImportError

from uvicorn.command.process_end import end_despite_threads
from uvicorn.command.roll import FAILED, Entry

__all__ = ["give_up", "is_told_to", "others_serve", "refuse"]

_BOOT_ERROR: Final = 3  # gunicorn.arbiter.Arbiter.WORKER_BOOT_ERROR
_LATE_BOOT_ERROR: Final = 1  # while others serve: it does not halt the master


def others_serve(entry: Entry | None) -> bool:
    """Whether another worker of this master accepts."""
    return entry is not None and entry.has_sibling_that_serves()


def is_told_to(error: BaseException) -> bool:
    """Whether a worker that starts ends because it is told to."""
    return isinstance(error, KeyboardInterrupt) or (isinstance(error, SystemExit) and not error.code)


def give_up(worker: Any, reason: str) -> NoReturn:
    """End the worker; the master goes on if others serve.

    Args:
        worker: ours: `cfg`, `entry` and `log` are used.

    Raises: SystemExit.
    """
    code = _LATE_BOOT_ERROR if others_serve(worker.entry) else _BOOT_ERROR
    if worker.entry is not None:
        worker.entry.tell(FAILED, reason)
    end_despite_threads(worker.cfg, worker.log, exit_code=code)
    sys.exit(code)


def refuse(worker: Any, error: BaseException) -> NoReturn:
    """Say in the log why the application cannot be served, and end the worker.

    Raises: AppImportError, with one sentence that Gunicorn prints; SystemExit, when all is said.
    """
    from uvicorn.applications.failures import failure_text, short_reason  # seldom

    if not isinstance(error, AppImportError):
        worker.log.error("The application cannot be served\n%s", failure_text(error))
        give_up(worker, short_reason(error))
    if others_serve(worker.entry):
        worker.log.error("The application cannot be served: %s", error)
        give_up(worker, str(error))
    if worker.entry is not None:
        worker.entry.tell(FAILED, str(error))
    raise error
