"""Leases of what is no request: a socket, or code outside of all requests.

It lasts for hours and computes for moments. It keeps one thread as well, but shares it with others of its kind from the
start: so many sockets hold few threads, and half of the pool's at most. There is no owner there (`lease.py`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from typing import Any, Final, TypeVar

from uvicorn.bridge.lease import Lease
from uvicorn.bridge.lease_call import LeaseCall
from uvicorn.bridge.lease_host import Host
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pool import ConsumerPool

__all__ = ["ByLoopExecutor", "LastingLease"]

_T = TypeVar("_T")
_CROWDED: Final = 4  # arbitrary: leases that last, for one thread while others are free


class LastingLease(Lease):
    """One thread for what is no request: shared with others of its kind.

    Args:
        most: how many threads of the pool they may have, all together.
    """

    is_lasting = True
    is_bound = True

    def __init__(
        self,
        pool: ConsumerPool,
        outbox: Outbox,
        most: int = 1,
        counts: Counter[str] | None = None,
        extra: ConsumerPool | None = None,
    ) -> None:
        super().__init__(pool, outbox, counts=counts, extra=extra)
        self._most = most

    def _find_host(self, call: LeaseCall) -> Host:
        pool = self._pool
        hosts = pool.shared_hosts
        idle = [host for host in hosts if host.is_idle and len(host.leases) < _CROWDED]
        if not idle and self._is_waited_for():
            return self._extra_host(hosts)
        if not idle and len(hosts) < self._most:
            if not hosts and pool.is_full:
                self._raise_full()
            if not hosts or pool.has_free_thread:
                made = Host(pool, self, hosts)
                pool.submit_beyond(made)
                return made
        host: Host = min(hosts, key=lambda host: (not host.is_idle, len(host.leases)))
        host.leases.append(self)
        return host

    def detach(self) -> None:
        """Forget the host: its thread does not come back. Runs on: the loop."""
        self.host = None

    def release(self) -> None:
        """Give the thread back, after the calls that were submitted. Runs on: the loop."""
        self._is_released = True
        self.refuse()

    def refuse(self) -> None:
        """Let go of the host: no thread became free for it in time, or nothing more is to come. Runs on: the loop."""
        self.latest = None
        host, self.host = self.host, None
        if host is not None and self in host.leases:
            host.leave(self)


class ByLoopExecutor(Executor):
    """Makes the calls of some loops by a lease of each, and all others by another executor."""

    def __init__(self, leases: Mapping[asyncio.AbstractEventLoop, Lease], other: Executor) -> None:
        self._leases = leases
        self._other = other

    def submit(self, function: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]:
        """Call a function in the one thread for the running loop."""
        loop = asyncio._get_running_loop()
        executor = self._other if loop is None else self._leases.get(loop, self._other)
        return executor.submit(function, *args, **kwargs)
