"""Who runs in a worker just now, for the watch of its loop. Runs on: any thread, without locks."""

from __future__ import annotations

from uvicorn.bridge.self_waits import SelfWait, SelfWaits
from uvicorn.bridge.suspects import (
    Suspect,
    is_idle,
    running_in_pools,
    suspect_in_thread,
    suspect_on_loop,
    unit_on_loop,
)
from uvicorn.connections.service import Service

__all__ = ["WorkerLooks"]


class WorkerLooks:
    """What looks into one worker."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._dispatcher = service.dispatcher
        self._loop = service.loop
        self._self_waits = SelfWaits(service.loop, service.dispatcher.outbox.loop_thread)

    def unit(self) -> object:
        """Return what changes when the loop goes on to other work: the task that runs, or the head that was read."""
        return unit_on_loop(self._loop), self._service.requests

    def is_idle(self) -> bool:
        """Whether the loop waits for events, or runs C code."""
        return is_idle(self._dispatcher.outbox.loop_thread)

    def on_loop(self) -> Suspect | None:
        """What the loop does."""
        return suspect_on_loop(self._loop, self._dispatcher.outbox.loop_thread, self._dispatcher.running.calls)

    def in_thread(self, thread_id: int) -> Suspect | None:
        """What a thread does."""
        return suspect_in_thread(thread_id, self._dispatcher.all_pools)

    def self_wait(self) -> SelfWait | None:
        """Whether the loop waits for itself."""
        return self._self_waits.find()

    def computing(self) -> str:
        """Name the jobs that run in threads."""
        return running_in_pools(self._dispatcher.all_pools)
