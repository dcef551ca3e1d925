"""What a worker does just now: each request in flight with its line, what waits, the sockets, the governor.

Runs on: the thread aside, while the loop goes on or is blocked. What it looks at may change under its eyes: what has
just ended is left out.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, TypeVar

from uvicorn.bridge.dry import held_threads
from uvicorn.bridge.loop_watch import LoopWatch
from uvicorn.bridge.served import line_with_id
from uvicorn.bridge.stacks import describe_all_threads, frames_of, line_in, thread_name
from uvicorn.bridge.stuck import name_of_job
from uvicorn.bridge.suspects import suspect_on_loop
from uvicorn.connections.service import Service

__all__ = ["Dump", "InFlight"]

_T = TypeVar("_T")
_TRIES: Final = 10
_MOST_WAITING: Final = 50  # jobs that are named; arbitrary

InFlight = dict[str, Any]


class Dump:
    """What looks at one worker."""

    def __init__(self, service: Service, loop_watch: LoopWatch | None) -> None:
        self._service = service
        self._loop_watch = loop_watch

    def in_flight(self) -> list[InFlight]:
        """Return each call that runs or waits, the oldest first.

        Returns: consumer, request, client, side ("loop" or "pool"), mount, state ("running" or "waiting"), thread,
            seconds (since the request came), line.
        """
        dispatcher = self._service.dispatcher
        threads = {id(job): thread for pool in dispatcher.all_pools for thread, job in pool.running()}
        now = time.monotonic()
        found = []
        for client in _taken((*_taken(self._service.connections), *_taken(self._service.sockets))):
            for served, job in _served_by(client):
                found.append(_described(served, job, client, threads, now))
        return sorted((one for one in found if one is not None), key=lambda one: -float(one["seconds"]))

    def loop_state(self) -> dict[str, Any]:
        """Return what the loop does: silent_seconds, and doing: the line, or "" if it turns."""
        watch, service = self._loop_watch, self._service
        silent = 0.0 if watch is None else watch.silent_seconds()
        suspect = None
        if silent > 0.1:  # arbitrary: two looks
            suspect = suspect_on_loop(service.loop, service.outbox.loop_thread, service.dispatcher.running.calls)
        return {"silent_seconds": round(silent, 3), "doing": "" if suspect is None else str(suspect)}

    def text(self, with_stacks: bool = False) -> str:
        """Return all of it for a reader; `with_stacks` adds the stack of every thread."""
        service, now = self._service, time.monotonic()
        lines = []
        loop = self.loop_state()
        if loop["doing"] or loop["silent_seconds"] > 0.1:
            lines.append(f"The event loop has not turned for {loop['silent_seconds']:.1f} seconds")
            lines += [f"  {loop['doing']}"] if loop["doing"] else []
        calls = self.in_flight()
        lines.append(f"In flight: {len(calls)}")
        for one in calls:
            where = f"in thread {one['thread']}" if one["thread"] else f"on the {one['side']}"
            lines.append(
                f"  {one['request']} of {one['client']}: {one['consumer']} {one['state']} {where} "
                f"for {one['seconds']:.1f} seconds"
            )
            lines += [f"    at {one['line']}"] if one["line"] else []
        for pool in service.dispatcher.all_pools:
            if not pool.slots() and not pool.queued:
                continue
            lines.append(repr(pool))
            lines += [held_threads(pool, now)] if pool.busy else []
            waiting = pool.waiting()
            for job in waiting[:_MOST_WAITING]:
                lines.append(f"  waits for {now - job.submitted_at:.1f} seconds: {name_of_job(job)}")
            if len(waiting) > _MOST_WAITING:
                lines.append(f"  and {len(waiting) - _MOST_WAITING} more wait")
        lines += [repr(governor) for governor in service.dispatcher.governors]
        states = Counter(str(getattr(socket, "state_name", "?")) for socket in _taken(service.sockets))
        shown = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        lines.append(f"Sockets: {shown or 'none'}")
        lines.append(f"Connections: {len(service.connections)}")
        if with_stacks:
            lines += ["", describe_all_threads()]
        return "\n".join(lines)


def _served_by(client: Any) -> Iterable[tuple[Any, Any]]:
    """Return what a client waits for, each with its job or None: exchanges, or its socket if a call runs or waits."""
    if hasattr(client, "call"):  # a raw socket: one call lasts as long as it does
        call = client.call
        return () if call is None else (call,)
    calls = getattr(getattr(client, "inbound", None), "calls", None)
    if calls is None:
        return [(served, served.job) for served in _taken(client.in_flight()) if not served.is_closed]
    return ((client, client.job),) if calls.is_running and client.handshake is None else ()


def _described(served: Any, job: Any, client: Any, threads: dict[int, int], now: float) -> InFlight | None:
    task, consumer = served.task, served.consumer
    if consumer is None:
        return None
    thread = threads.get(id(job), 0) if job is not None else 0
    runner: asyncio.Task[Any] | int | None = thread or task
    if task is None and job is None:
        calls = getattr(getattr(served, "inbound", None), "calls", None)
        runner = getattr(getattr(calls, "task", None), "task", None)
    frames = frames_of(runner) if runner is not None and (isinstance(runner, int) or not runner.done()) else []
    return {
        "consumer": served.consumer_name,
        "request": line_with_id(served),
        "client": client.client_name,
        "side": "loop" if consumer.is_async else "pool",
        "mount": consumer.mount,
        "state": "running" if frames else "waiting",
        "thread": thread_name(thread) if thread else "",
        "seconds": round(max(0.0, now - served.started_at), 3),
        "line": line_in(frames) if frames else "",
    }


def _taken(items: Iterable[_T]) -> tuple[_T, ...]:
    """Return what is there now, though the loop may change it meanwhile."""
    for _ in range(_TRIES):
        try:
            return tuple(items)
        except RuntimeError:  # changed during iteration
            continue
    return ()
