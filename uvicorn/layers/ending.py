"""The end of clients of redis-py, and of the tasks that use them: it may swallow a cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

__all__ = ["close_quietly", "end_all"]

_AGAIN_SECONDS: Final = 0.05
_ATTEMPTS: Final = 40
_CLOSE_SECONDS: Final = 1.0


async def close_quietly(client: Any) -> None:
    """Close a client of redis-py, or its pub/sub, which may be broken, or None."""
    if client is not None:
        # Redis-py leaves its clients of the Sentinels themselves open.
        watched = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
        for each in (client, *getattr(watched, "sentinels", ())):
            with suppress(Exception):  # it is gone, whatever it says
                await asyncio.wait_for(each.aclose(), _CLOSE_SECONDS)


async def end_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks, and wait until they have ended.

    redis-py looks at its connections with a timeout of 0, and a cancellation that comes at that moment is lost.
    """
    pending = {task for task in tasks if not task.done()}
    for _ in range(_ATTEMPTS):
        if not pending:
            return
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_SECONDS)
