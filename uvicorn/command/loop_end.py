"""The run of a loop that is the worker's own, and its end: what the application has begun on it is not left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

__all__ = ["close_generators", "end_tasks", "run_until_done"]

_LAST_SECONDS: Final = 0.1  # for tasks and generators that are about to end


def run_until_done(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None], on_exit: Callable[[], bool]
) -> None:
    """Run the loop until the work is done, also if a task of the application exits the process meanwhile.

    Args:
        on_exit: called in the handler of such an exception. Returns: whether the loop goes on.

    Raises: SystemExit, KeyboardInterrupt if it does not go on; what the work raises.
    """
    doing = loop.create_task(work)
    while not doing.done():
        try:
            loop.run_until_complete(doing)
        except (SystemExit, KeyboardInterrupt):
            if doing.done() or not on_exit():  # we are on our way out already
                raise


async def end_tasks(loop: asyncio.AbstractEventLoop, log: Any) -> None:
    """Cancel what the application has begun beside its requests, as `asyncio.run` does."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if not left:
        return
    for task in left:
        task.cancel()
    ended, stubborn = await asyncio.wait(left, timeout=_LAST_SECONDS)
    for task in ended:
        if not task.cancelled() and task.exception() is not None:
            text = "A task of the application failed at the end"
            loop.call_exception_handler({"message": text, "exception": task.exception(), "task": task})
    for task in stubborn:
        log.warning("Leaving without waiting for a task that was cancelled: %r", task.get_coro())
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is said already


async def close_generators(loop: asyncio.AbstractEventLoop) -> None:
    """Let asynchronous generators that were left behind end; one that does not is not waited for."""
    closing = loop.create_task(loop.shutdown_asyncgens())
    await asyncio.wait([closing], timeout=_LAST_SECONDS)
