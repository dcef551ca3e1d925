"""Have asgiref run the synchronous code of an ASGI application in our threads.

Django's ASGI handler, and all that uses `sync_to_async`, runs synchronous code in a thread of asgiref's own: a new
one for each request, or one for all. Where asgiref is there, each call is made in its `ThreadSensitiveContext` with
a lease on our pool (`bridge/lease.py`): the threads are used again, and so are the database connections that
belong to them.

asgiref takes an executor there since 3.13, which needs Python 3.11. Older ones keep the executors of their contexts in
a table, `SyncToAsync.context_to_thread_executor`; ours is put into it (`_OlderContext`).
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar, Final
from weakref import WeakKeyDictionary

from uvicorn.bridge.framework_calls import FrameworkThreads, installing
from uvicorn.bridge.lasting_lease import ByLoopExecutor, LastingLease
from uvicorn.bridge.lease import Lease
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.bridge.waits import on_loop
from uvicorn.bridge.work import Nest

__all__ = [
    "AsgirefSeam", "SensitiveCall", "can_lease", "for_request", "for_socket", "is_in_async_to_sync", "uses_asgiref",
]  # fmt: skip


#: asgiref's executor of each call of `async_to_sync` -> its thread
_nests: Final[WeakKeyDictionary[Any, Nest]] = WeakKeyDictionary()


def uses_asgiref() -> bool:
    """Whether asgiref was imported: applications that use it have done so when they are loaded."""
    return "asgiref.sync" in sys.modules


def can_lease() -> bool:
    """Whether this asgiref takes our threads: that of Django 3.2 or later does."""
    return hasattr(sys.modules["asgiref.sync"].SyncToAsync, "context_to_thread_executor")


def is_in_async_to_sync() -> Nest | None:
    """Return the thread that waits in asgiref's `async_to_sync` for the calling coroutine. Runs on: the loop."""
    module = sys.modules.get("asgiref.sync")
    executor = None if module is None else getattr(module.AsyncToSync.executors, "current", None)
    if executor is None:
        return None
    nest = _nests.get(executor)
    if nest is None:
        nest = _nests[executor] = Nest()
    return nest


class SensitiveCall:
    """An asynchronous context manager around what one lease is for: asgiref's thread-sensitive code runs by it."""

    __slots__ = ("_context", "_lease")

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._context = _context_with(lease)

    async def __aenter__(self) -> None:
        await self._context.__aenter__()

    async def __aexit__(self, *error: Any) -> None:
        try:
            await self._context.__aexit__(*error)
        finally:
            self._lease.release()


def for_request(threads: FrameworkThreads, refused: Callable[[], None]) -> SensitiveCall:
    """Return the context manager for one request.

    Args:
        refused: called when it finds no place in the pool and its queue.
    """
    return SensitiveCall(
        Lease(threads.pool, threads.outbox, refused, threads.calls, look_at_connections, threads.extra)
    )


def look_at_connections() -> None:
    """Close connections of Django's that are too old. It does so itself in the thread where a request begins.

    Runs on: a thread to which a request has moved.
    """
    module = sys.modules.get("django.db")
    if module is not None:
        module.close_old_connections()


def for_socket(threads: FrameworkThreads, aside: ConsumerPool) -> SensitiveCall:
    """Return the context manager for one socket: all sockets have half of the threads at most.

    Args:
        aside: what they use if the pool has one thread, which they would keep for themselves.
    """
    pool = threads.pool if threads.pool.threads > 1 else aside
    return SensitiveCall(LastingLease(pool, threads.outbox, max(1, pool.threads // 2), threads.calls, threads.extra))


def close_connections() -> None:
    """Close Django's connections of a thread that ends. Runs on: that thread."""
    module = sys.modules.get("django.db")
    if module is not None:
        module.connections.close_all()


class AsgirefSeam:
    """What is replaced of asgiref while a server serves; the last one of the process puts it back.

    asgiref's one thread for thread-sensitive code outside of all requests is one of ours; and `async_to_sync` on the
    loop, an error with asgiref as well, names both lines.
    """

    leases: ClassVar[dict[asyncio.AbstractEventLoop, LastingLease]] = {}  # of all that are installed
    originals: ClassVar[tuple[Any, Any]] = (None, None)

    def __init__(self, pool: ConsumerPool, outbox: Outbox, extra: ConsumerPool | None = None) -> None:
        self._loop = outbox.loop
        self._lease = LastingLease(pool, outbox, extra=extra)

    def install(self) -> None:
        """Take the places, if no other server's has done so."""
        module: Any = sys.modules["asgiref.sync"]
        with installing:
            if not AsgirefSeam.leases:
                AsgirefSeam.originals = module.SyncToAsync.single_thread_executor, module.AsyncToSync.__call__
                module.SyncToAsync.single_thread_executor = ByLoopExecutor(AsgirefSeam.leases, AsgirefSeam.originals[0])
                module.AsyncToSync.__call__ = _checked(AsgirefSeam.originals[1])
            AsgirefSeam.leases[self._loop] = self._lease

    def remove(self) -> None:
        """Give them back, if no other server needs them."""
        module: Any = sys.modules["asgiref.sync"]
        with installing:
            if AsgirefSeam.leases.get(self._loop) is self._lease:
                del AsgirefSeam.leases[self._loop]
            if not AsgirefSeam.leases:
                module.SyncToAsync.single_thread_executor, module.AsyncToSync.__call__ = AsgirefSeam.originals
        self._lease.release()


def _checked(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return the `__call__` of `async_to_sync`, that looks first whether it is on our loop."""

    def __call__(async_to_sync: Any, *args: Any, **kwargs: Any) -> Any:
        if asyncio._get_running_loop() in AsgirefSeam.leases:
            raise on_loop("asgiref.async_to_sync", async_to_sync.awaitable)
        return call(async_to_sync, *args, **kwargs)

    return __call__


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
