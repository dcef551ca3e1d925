"""Have asgiref run the synchronous code of an ASGI application in our threads.

Django's ASGI handler, and all that uses `sync_to_async`, runs synchronous code in a thread of asgiref's own: a new
one for each request, or one for all. Where asgiref is there, each call is made in its `ThreadSensitiveContext` with
a lease on our pool (`bridge/lease.py`): the threads are used again, and so are the database connections that
belong to them.

Needs asgiref 3.13, which takes an executor there.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

from uvicorn.bridge.lease import Lease
from uvicorn.bridge.pool import ConsumerPool

__all__ = ["SensitiveCall", "can_lease", "uses_asgiref"]


def uses_asgiref() -> bool:
    """Whether asgiref was imported: applications that use it have done so when they are loaded."""
    return "asgiref.sync" in sys.modules


def can_lease() -> bool:
    """Whether this asgiref takes our threads."""
    return "executor" in inspect.signature(sys.modules["asgiref.sync"].ThreadSensitiveContext).parameters


class SensitiveCall:
    """Be around one call of an ASGI application: `async with`.

    Args:
        refused: called if the pool and its queue are full.

    Raises: ChannelFull if they are.
    """

    __slots__ = ("_context", "_lease")

    def __init__(self, pool: ConsumerPool, refused: Callable[[], None]) -> None:
        if pool.is_full:
            refused()
        self._lease = Lease(pool)
        self._context = sys.modules["asgiref.sync"].ThreadSensitiveContext(executor=self._lease)

    async def __aenter__(self) -> None:
        await self._context.__aenter__()

    async def __aexit__(self, *error: Any) -> None:
        try:
            await self._context.__aexit__(*error)
        finally:
            self._lease.release()
