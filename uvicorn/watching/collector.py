"""Gather the numbers of one worker.

Theory of operation
-------------------
What can only be counted where it happens is counted there, in attributes of the loop's own: `Numbers`, and one `Tally`
for each consumer. Everything else (what runs, what waits, who is connected) is looked up when it is asked for, in the
structures that the server has anyway. So reading costs the way of a request nothing.

Each number by itself is whole, and none goes back. Together they are a look, and no account: a request may have been
counted in one and not yet in another. After the last request they agree.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.costs import known_costs
from uvicorn.bridge.dry import DryWatch
from uvicorn.bridge.garbage import GarbagePauses
from uvicorn.bridge.loop_watch import LoopWatch
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.bridge.sampler import PoolSampler
from uvicorn.bridge.slow import SlowWatch
from uvicorn.bridge.tally import BOUNDS, Tally
from uvicorn.connections.life import LAST_BODY, LINGERING, LOST, PROXY
from uvicorn.connections.service import Service
from uvicorn.watching.families import Figures

__all__ = ["Collector", "memory_bytes"]

_PAGE: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Collector:
    """What gathers the numbers of one worker.

    Args:
        consumers: returns all that may be called.
        loop_watch: None if the loop is not watched.
    """

    def __init__(
        self,
        service: Service,
        consumers: Callable[[], Iterable[Consumer]],
        loop_watch: LoopWatch | None,
        garbage: GarbagePauses,
        dry: DryWatch,
        slow: SlowWatch,
    ) -> None:
        self._service = service
        self._consumers = consumers
        self._loop_watch = loop_watch
        self._garbage = garbage
        self._dry = dry
        self._slow = slow
        self._lag: Final = Tally()
        if loop_watch is not None:
            loop_watch.on_lag = self._lag.add_run

    def collect(self) -> Figures:
        """Return the numbers as they are now. Runs on: the loop."""
        service, numbers = self._service, self._service.numbers
        service.dispatcher.measured.take()
        figures: Figures = {
            "requests": {(): service.requests},
            "responses": {(str(status),): count for status, count in sorted(numbers.by_status().items())},
            "refused": {(reason,): count for reason, count in sorted(numbers.refused.items())},
            "connections_made": {(): numbers.connections},
            "received_bytes": {(): numbers.received_bytes},
            "sent_bytes": {(): numbers.sent_bytes},
            "connections": {(state,): count for state, count in sorted(self._states().items())},
            "sockets": {(): len(service.sockets)},
            "socket_backlog": {(): sum(_backlog_of(socket) for socket in tuple(service.sockets))},
            "in_flight": dict(sorted(self._in_flight().items())),
            "cpu_seconds": {(): time.process_time()},
            "workers": {(): 1},
        }
        if service.addresses.refused:
            figures["refused"]["limit_connections_per_address",] = service.addresses.refused
        memory = memory_bytes()
        if memory:
            figures["memory_bytes"] = figures["largest_memory_bytes"] = {(): memory}
        if service.attendants is not None:
            figures.update(service.attendants.figures())
        self._add_calls(figures)
        self._add_pools(figures)
        self._add_watches(figures)
        return figures

    def _add_calls(self, figures: Figures) -> None:
        runs = figures.setdefault("consumer_run_seconds", {})
        waits = figures.setdefault("consumer_wait_seconds", {})
        errors = figures.setdefault("consumer_errors", {})
        seen: set[int] = set()
        for consumer in self._consumers():
            tally = consumer.tally
            if id(tally) in seen or not (tally.calls or tally.errors):
                continue
            seen.add(id(tally))
            labels = (consumer.name, consumer.mount, side_of(consumer))
            _add(runs, labels, tally.run_seconds, tally.runs)
            if not consumer.is_async:
                _add(waits, labels[:2], tally.wait_seconds, tally.waits)
            if tally.errors:
                errors[labels] = errors.get(labels, 0) + tally.errors
        kinds: Counter[str] = Counter()
        for threads in self._service.dispatcher.frameworks.values():
            kinds.update(threads.calls)
        figures["framework_calls"] = {(kind,): count for kind, count in sorted(kinds.items())}
        runs = figures.setdefault("call_run_seconds", {})
        waits = figures.setdefault("call_wait_seconds", {})
        for cost in known_costs():
            if cost.tally.calls:
                _add(runs, (cost.name,), cost.tally.run_seconds, cost.tally.runs)
                _add(waits, (cost.name,), cost.tally.wait_seconds, cost.tally.waits)

    def _add_pools(self, figures: Figures) -> None:
        now = time.monotonic()
        for pool in self._service.dispatcher.all_pools:
            name = (pool.name,)
            if not pool.slots() and pool not in self._service.dispatcher.pools:
                continue  # one that nobody has used
            oldest = pool.oldest
            for family, value in (
                ("pool_threads", pool.threads),
                ("pool_busy", pool.busy),
                ("pool_stuck", pool.stuck),
                ("pool_queued", pool.queued),
                ("pool_held", pool.held),
                ("pool_oldest_wait_seconds", max(0.0, now - oldest) if oldest else 0.0),
                ("pool_limit", pool.limit),
            ):
                figures.setdefault(family, {})[name] = value
        changes = figures.setdefault("governor_changes", {})
        for governor in self._service.dispatcher.governors:
            if not isinstance(governor, PoolSampler):
                continue
            governed = governor.governed
            if isinstance(governed, ConsumerPool):
                changes[governed.name, "down"] = governor.cuts
                changes[governed.name, "up"] = governor.raises

    def _add_watches(self, figures: Figures) -> None:
        garbage, watch = self._garbage, self._loop_watch
        figures["collections"] = {(str(number),): count for number, count in enumerate(garbage.counts)}
        figures["collection_seconds"] = {(): garbage.seconds}
        figures["dry_pools"] = {(): self._dry.episodes}
        figures["slow_consumers"] = {(): self._slow.found}
        if watch is not None:
            figures["loop_lag_seconds"] = {(): [self._lag.run_seconds, *self._lag.runs]}
            figures["loop_blocks"] = {(cause.value,): count for cause, count in dict(watch.blocks).items()}
            figures["loop_blocked_seconds"] = {
                (cause.value,): seconds for cause, seconds in watch.blocked_seconds.items() if seconds
            }
            figures["interpreter_wait_seconds"] = {(): watch.own_wait_seconds}

    def _states(self) -> Counter[str]:
        states: Counter[str] = Counter()
        for connection in tuple(self._service.connections):
            states[state_of(connection)] += 1
        states["socket"] += len(self._service.sockets)
        return states

    def _in_flight(self) -> Counter[tuple[str, str]]:
        counts: Counter[tuple[str, str]] = Counter()
        for connection in tuple(self._service.connections):
            for exchange in connection.in_flight():
                consumer = exchange.consumer
                if consumer is not None:
                    counts[side_of(consumer), consumer.mount] += 1
        return counts


def state_of(connection: Any) -> str:
    """Return what a connection is doing, in a word."""
    if not hasattr(connection, "pipeline"):  # HTTP/2: many requests at a time
        exchanges = connection.in_flight()
        if not exchanges:
            return "idle" if connection.requests else "new"
        return "responding" if any(exchange.status for exchange in exchanges) else "waiting"
    life, exchanges = connection.life.state, connection.pipeline.exchanges
    if exchanges:
        first = exchanges[0]
        if first.status:
            return "responding"
        return "waiting" if first.is_request_complete else "reading"
    if LINGERING <= life <= LOST:
        return "closing"
    if PROXY < life <= LAST_BODY and connection.body is not None:
        return "reading"
    return "idle" if connection.requests else "new"


def side_of(consumer: Consumer) -> str:
    """Return where a consumer runs: "loop" or "pool"."""
    return "loop" if consumer.is_async else "pool"


def memory_bytes() -> int:
    """Return the resident memory of this process; 0 if the system does not tell."""
    try:
        with open("/proc/self/statm", "rb", buffering=0) as file:
            return int(file.read(128).split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _backlog_of(socket: Any) -> int:
    calls = getattr(getattr(socket, "inbound", None), "calls", None)
    return calls.waiting if calls is not None else 0


def _add(into: dict[tuple[str, ...], Any], labels: tuple[str, ...], seconds: float, counts: list[int]) -> None:
    value = [seconds, *counts]
    known = into.get(labels)
    into[labels] = value if known is None else [one + other for one, other in zip(known, value, strict=True)]


assert len(BOUNDS) + 1 == len(Tally().runs)
