"""What is asked of anyio's cancel scopes, whose attributes `anyio_threads.reason_against` has checked. Loop only."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any, Final

__all__ = ["begun", "is_cancelled", "is_shielded"]

backend: Final[Any] = import_module("anyio._backends._asyncio")


async def begun(func: Any, *args: Any) -> Any:
    """Call a coroutine function for a thread; it is cancelled if the thread's scope was so before.

    anyio 4.16 tells only tasks that are there when a scope is cancelled. One that is begun later by a thread, whose own
    cancellation is shielded off, would wait for its own cancellation for ever, in a loop that takes all processor time.
    """
    state = backend._task_states.get(asyncio.current_task())
    scope = state.cancel_scope if state is not None else None
    while scope is not None:
        if scope._cancel_called:
            if scope._cancel_handle is None:
                scope._deliver_cancellation(scope)
            break
        if scope._shield:
            break
        scope = scope._parent_scope
    return await func(*args)


def is_shielded(scope: Any) -> bool:
    """Whether a scope, or one around it, keeps cancellations off."""
    while scope is not None:
        if scope._shield:
            return True
        scope = scope._parent_scope
    return False


def is_cancelled(scope: Any) -> bool:
    """Whether what is done in a scope is to be cancelled, by it or one around it."""
    while scope is not None:
        if scope._cancel_called:
            return True
        if scope._shield:
            return False
        scope = scope._parent_scope
    return False
