"""How long others are waited for, and the end of clients of redis-py, and of tasks that use them.

*Held up.* On a busy machine it may be this process that is late: it was not run, or its loop was blocked, and when it
goes on the time is over and the answer has come. So time is counted in two parts, of which the second begins when the
loop has turned after the first: who does not answer is late at two looks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from typing import Any, Final, TypeVar

__all__ = ["close_quietly", "end_all", "ignore_error", "wait_at_most", "within"]

_T = TypeVar("_T")

_AGAIN_SECONDS: Final = (0.25, 0.25, 0.5, 1.0)  # between two cancellations
_CLOSE_SECONDS: Final = 1.0
_LOOKS: Final = 2


async def within(seconds: float, awaitable: Awaitable[_T]) -> _T:
    """Wait for something, for so many seconds at most, in which this process was not held up.

    As `asyncio.wait_for` otherwise; but if what was given up ends with an error of its own, such as a connection that
    breaks at that moment, asyncio does not tell in the log that nobody has looked at it.

    Raises: TimeoutError of asyncio; what the awaitable raises.
    """
    future = asyncio.ensure_future(awaitable)
    future.add_done_callback(ignore_error)
    try:
        if not await wait_at_most(seconds, [future]):
            return future.result()
    finally:
        if not future.done():
            await end_all([future])
    if future.done() and not future.cancelled():
        return future.result()  # it has come just now
    raise asyncio.TimeoutError


async def wait_at_most(seconds: float, futures: Iterable[asyncio.Future[_T]]) -> set[asyncio.Future[_T]]:
    """Wait for futures, for so many seconds at most, in which this process was not held up; return what is pending."""
    pending = {future for future in futures if not future.done()}
    for _ in range(_LOOKS):
        if pending:
            _, pending = await asyncio.wait(pending, timeout=seconds / _LOOKS)
    return pending


def ignore_error(future: asyncio.Future[Any]) -> None:
    """Take the error of what has ended: nobody else may."""
    if not future.cancelled():
        future.exception()


async def close_quietly(client: Any) -> None:
    """Close a client of redis-py, or its pub/sub, which may be broken, or None.

    Cancellation: comes through when it is closed. `end_all` cancels again and again, and would leave connections open.
    """
    if client is None:
        return
    # Redis-py leaves its clients of the Sentinels themselves open.
    watched = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    parts = (client, *getattr(watched, "sentinels", ()))
    closing = asyncio.ensure_future(asyncio.wait([asyncio.ensure_future(_close(part)) for part in parts]))
    is_cancelled = False
    while not closing.done():
        try:
            await asyncio.wait([closing])
        except asyncio.CancelledError:
            is_cancelled = True
    if is_cancelled:
        raise asyncio.CancelledError


async def _close(part: Any) -> None:
    with suppress(Exception):  # it is gone, whatever it says
        await within(_CLOSE_SECONDS, part.aclose())


async def end_all(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel tasks, and wait until they have ended.

    redis-py looks at its connections with a timeout of 0, and a cancellation that comes at that moment is lost. One
    that comes while it closes what it had begun to open leaves that open: so it has time before the next.
    """
    pending = {task for task in tasks if not task.done()}
    for seconds in _AGAIN_SECONDS:
        if not pending:
            return
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=seconds)
