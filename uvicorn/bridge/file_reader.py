"""Threads that wait for the disk instead of the loop.

Theory of operation
-------------------
The loop gives a thread one piece of work at a time for each response, and gets the result through the outbox. What is
in memory already the loop reads itself (`FilePart.is_at_hand`): a thread costs more than that read. So these threads
work for files that are not in memory, and where the system does not tell.

They are few, and none of the pool: a disk that hangs stops at most this many reads, and no consumer. They are daemons:
one that hangs in a read holds up no exit. The loop alone counts and starts them; the queue is all that both sides
touch.

What waits for a disk that hangs is not waited for by its clients: they leave, and others come. So the queue has a bound
for what consumers ask for. What responses ask for has one by itself: each has a file open.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, Final

from uvicorn.bridge.outbox import Outbox

__all__ = ["FileReader"]

_MOST_THREADS: Final = 4  # arbitrary: a disk does little more at once
_MOST_WORKS: Final = 1024  # that wait; arbitrary


class FileReader:
    """The threads that read files; started as they are needed. All methods run on: the loop."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._works: queue.SimpleQueue[tuple[Callable[[], Any], Callable[[Any], None]] | None] = queue.SimpleQueue()
        self._threads = 0
        self._under_way = 0

    @property
    def is_full(self) -> bool:
        """Whether so much waits for the disk that what is new must be refused."""
        return self._under_way >= _MOST_WORKS

    def run(self, work: Callable[[], Any], on_done: Callable[[Any], None]) -> None:
        """Have a thread do some work; `on_done` is called on the loop with what it has returned, or raised."""
        self._under_way += 1
        self._works.put((work, on_done))
        if self._threads < min(self._under_way, _MOST_THREADS):
            self._threads += 1
            threading.Thread(target=self._serve, name=f"uvicorn-files-{self._threads}", daemon=True).start()

    def stop(self) -> None:
        """Let the threads end when they have done what they have."""
        for _ in range(self._threads):
            self._works.put(None)
        self._threads = 0

    def _serve(self) -> None:
        """Do what comes. Runs on: a thread of its own."""
        while (job := self._works.get()) is not None:
            work, on_done = job
            try:
                result = work()
            except Exception as error:
                result = error
            self._outbox.put(self._done, (on_done, result))
            del job, work, on_done, result  # what they hold is a file, and is closed when it is let go of

    def _done(self, ended: tuple[Callable[[Any], None], Any]) -> None:
        self._under_way -= 1
        on_done, result = ended
        on_done(result)
