"""Have asgiref run the synchronous code of an ASGI application in our threads.

Django's ASGI handler, and all that uses `sync_to_async`, runs synchronous code in a thread of asgiref's own: a new
one for each request, or one for all. Where asgiref is there, each call is made in its `ThreadSensitiveContext` with
a lease on our pool (`bridge/lease.py`): the threads are used again, and so are the database connections that
belong to them.

asgiref takes an executor there since 3.13, which needs Python 3.11. Older ones keep the executors of their contexts in
a table, `SyncToAsync.context_to_thread_executor`; ours is put into it (`_OlderContext`).
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from uvicorn.bridge.lease import Lease
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pool import ConsumerPool

__all__ = ["SensitiveCall", "can_lease", "is_in_async_to_sync", "uses_asgiref"]


def uses_asgiref() -> bool:
    """Whether asgiref was imported: applications that use it have done so when they are loaded."""
    return "asgiref.sync" in sys.modules


def can_lease() -> bool:
    """Whether this asgiref takes our threads: that of Django 3.2 or later does."""
    return hasattr(sys.modules["asgiref.sync"].SyncToAsync, "context_to_thread_executor")


def is_in_async_to_sync() -> bool:
    """Whether a thread waits in asgiref's `async_to_sync` for the calling coroutine. Runs on: the loop."""
    module = sys.modules.get("asgiref.sync")
    return module is not None and getattr(module.AsyncToSync.executors, "current", None) is not None


class SensitiveCall:
    """An asynchronous context manager around one call of an ASGI application.

    Args:
        refused: called if the pool and its queue are full.

    Raises: ChannelFull if they are.
    """

    __slots__ = ("_context", "_lease")

    def __init__(self, pool: ConsumerPool, outbox: Outbox, refused: Callable[[], None]) -> None:
        if pool.is_full:
            refused()
        self._lease = Lease(pool, outbox)
        self._context = _context_with(self._lease)

    async def __aenter__(self) -> None:
        await self._context.__aenter__()

    async def __aexit__(self, *error: Any) -> None:
        try:
            await self._context.__aexit__(*error)
        finally:
            self._lease.release()


def _context_with(executor: Lease) -> Any:
    make = sys.modules["asgiref.sync"].ThreadSensitiveContext
    return make(executor=executor) if _takes_executor(make) else _OlderContext(executor)


@cache
def _takes_executor(make: Any) -> bool:
    return "executor" in inspect.signature(make).parameters


class _OlderContext:
    """A ThreadSensitiveContext with an executor, for an asgiref older than 3.13."""

    __slots__ = ("_context", "_executor", "_executors")

    def __init__(self, executor: Lease) -> None:
        module = sys.modules["asgiref.sync"]
        self._context = module.ThreadSensitiveContext()
        self._executor = executor
        self._executors = module.SyncToAsync.context_to_thread_executor

    async def __aenter__(self) -> None:
        self._executors[self._context] = self._executor
        await self._context.__aenter__()

    async def __aexit__(self, *error: Any) -> None:
        # Taken out first: asgiref would shut it down, in a thread that it makes for that.
        self._executors.pop(self._context, None)
        await self._context.__aexit__(*error)
