"""What routes and mounts say about their consumers, beside where they are: pools of threads, length, slowness."""

from __future__ import annotations

import re
from typing import Final

from uvicorn.applications.asgi import ASGIApplication
from uvicorn.bridge.consumer import Consumer
from uvicorn.errors import ConsumerError

__all__ = ["check_pool", "check_slow", "lasting", "leisurely", "may_have_pool", "pooled"]

_POOL_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")


def pooled(consumer: Consumer, what: str, pool: str | None) -> Consumer:
    """Return a copy that runs in a named pool. Raises: ConsumerError if it is asynchronous."""
    if not may_have_pool(consumer):
        raise ConsumerError(f"{what} has a pool, and it is asynchronous: it runs on the loop")
    return consumer.replaced(pool_name=pool)


def lasting(consumer: Consumer, what: str, is_long: object) -> Consumer:
    """Return a copy whose calls may take any time, or not. Raises: ConsumerError if it is asynchronous."""
    if not isinstance(is_long, bool):
        raise ConsumerError(f"{what}: long must be True or False, not {is_long!r}")
    if consumer.is_async:
        raise ConsumerError(f"{what} is said to run long or not, and it is asynchronous: it takes no thread")
    return consumer.replaced(is_long=is_long)


def check_pool(what: str, pool: str | None, threads: int | None) -> None:
    """Check the name and the size of a pool. Raises: ConsumerError."""
    if not isinstance(pool, str) or not _POOL_NAME.fullmatch(pool):
        raise ConsumerError(f"{what}: the name of a pool must be of letters, digits, '-' and '_', not {pool!r}")
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise ConsumerError(f"{what}: threads must be a number, 1 or more, not {threads!r}")


def leisurely(consumer: Consumer, what: str, slow: bool) -> Consumer:
    """Return a copy whose clients may be slow, or not. Raises: ConsumerError."""
    check_slow(what, slow)
    return consumer.replaced(is_slow=slow)


def check_slow(what: str, slow: bool | None) -> None:
    """Check what says whether clients may be slow. Raises: ConsumerError."""
    if slow is not None and not isinstance(slow, bool):
        raise ConsumerError(f"{what}: slow must be True or False, not {slow!r}")


def may_have_pool(consumer: Consumer) -> bool:
    """Whether a consumer may run something in a thread: ASGI applications do by way of asgiref."""
    return not consumer.is_async or isinstance(consumer.target, ASGIApplication)
