"""The bridge of one server: its pools and their governors, made of numbers, a log and a loop. Knows no Gunicorn."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final, Protocol

from uvicorn.applications.asgi import ASGIApplication
from uvicorn.applications.router import Router, SingleConsumer
from uvicorn.bridge import crossing
from uvicorn.bridge.dispatcher import Dispatcher
from uvicorn.bridge.framework_calls import FrameworkPools
from uvicorn.bridge.outbox import Log, Outbox
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.bridge.sampler import PoolSampler, own_clocks, read_clocks, reason_against
from uvicorn.bridge.served import RequestHooks

__all__ = ["ThreadSettings", "default_threads", "make_dispatcher"]

_FRAMEWORK_THREADS: Final = 40  # anyio's default, for which applications are written
_EXTRA_THREADS: Final = 1000  # arbitrary: more than limiters of applications let in, and fewer than systems allow
_EXTRA_SECONDS: Final = 10.0  # arbitrary: how long an extra thread is kept that has nothing to do


class ThreadSettings(Protocol):
    """What is asked of the settings."""

    @property
    def queue_timeout(self) -> float:
        """Seconds that a job may wait for a thread."""

    @property
    def governor(self) -> bool:
        """Whether there is one."""

    @property
    def framework_threads(self) -> bool:
        """Whether frameworks use our pools."""

    @property
    def background_threads(self) -> int:
        """Threads of a pool for background tasks; 0 for no such pool."""

    def queue_size_of(self, threads: int) -> int:
        """Return the queue size of a pool of so many threads."""


def default_threads() -> int:
    """Return the default of `threads`: that of Python's own executor."""
    return min(32, (os.cpu_count() or 1) + 4)


def make_dispatcher(
    loop: asyncio.AbstractEventLoop,
    application: Router | SingleConsumer,
    settings: ThreadSettings,
    log: Log,
    threads: int,
    *,
    is_given: bool = True,
    hooks: RequestHooks | None = None,
    is_alone: bool = True,
) -> Dispatcher:
    """Make all in which consumers run, and have `run_in_pool` find it. No thread is started yet.

    Args:
        threads: of the pool without a name.
        is_given: somebody has set it to more than 1; otherwise applications that expect more get more.
        is_alone: the process does nothing else, so that its threads are this server's.

    Runs on: the loop's thread.
    """
    if not is_given:
        threads = _count_threads(application, settings, log, threads)
    named_pools = {
        name: ConsumerPool(count, settings.queue_size_of(count), loop.call_soon, log, f"uvicorn-{name}")
        for name, count in application.pools().items()
    }
    if named_pools:
        log.info(
            "Threads: %d%s; %d in all",
            threads,
            "".join(f", {pool.threads} in pool {name}" for name, pool in named_pools.items()),
            threads + sum(pool.threads for pool in named_pools.values()),
        )
    outbox = Outbox(loop, log)
    pool = ConsumerPool(threads, settings.queue_size_of(threads), loop.call_soon, log)
    shared = _make_shared_pools(loop, settings, log, threads) if settings.framework_threads else None
    pools = (pool, *named_pools.values(), *(shared or ()))
    dispatcher = Dispatcher(
        pool,
        outbox,
        log,
        settings.queue_timeout,
        hooks,
        _make_governors(pools, outbox, log, is_alone) if settings.governor else [],
        named_pools,
        shared,
    )
    dispatcher.assign(application.consumers())
    crossing.install(dispatcher.crossing)
    return dispatcher


def _count_threads(application: Router | SingleConsumer, settings: ThreadSettings, log: Log, default: int) -> int:
    """Return the threads of the first pool if nobody has said how many: as many as frameworks would have."""
    if not settings.framework_threads or not any(
        isinstance(consumer.target, ASGIApplication) for consumer in application.consumers()
    ):
        return default
    threads = max(default, _FRAMEWORK_THREADS)
    log.info(
        "Threads: %d, for what ASGI applications hand to threads: anyio's own default, as threads is not set to more "
        "than 1",
        threads,
    )
    return threads


def _make_shared_pools(
    loop: asyncio.AbstractEventLoop, settings: ThreadSettings, log: Log, threads: int
) -> FrameworkPools:
    """Make the pools for what frameworks hand to threads beside the calls of requests. They start no thread yet."""

    def make(name: str, count: int, idle_seconds: float | None = None) -> ConsumerPool:
        return ConsumerPool(count, 0, loop.call_soon, log, f"uvicorn-{name}", idle_seconds)

    background = settings.background_threads
    return FrameworkPools(
        make("aside", max(threads, _FRAMEWORK_THREADS)),
        make("extra", _EXTRA_THREADS, _EXTRA_SECONDS),
        make("background", background) if background else None,
    )


def _make_governors(pools: tuple[ConsumerPool, ...], outbox: Outbox, log: Log, is_alone: bool) -> list[PoolSampler]:
    governed = [pool for pool in pools if pool.threads > 1]
    if not governed:
        return []
    reason = reason_against()
    if reason:
        log.info("The governor stands aside: %s", reason)
        return []
    clocks: Callable[[], tuple[float, float, float]] = read_clocks if is_alone else own_clocks(pools)
    return [PoolSampler(pool, outbox, log, clocks) for pool in governed]
