"""Whether a client has caught up with what was written to it. Pure state. Loop thread only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["FLOOD_FACTOR", "WAITING_BYTES", "WriteGate"]

FLOOD_FACTOR: Final = 256  # x write_buffer; arbitrary: 16 MiB, where who does not wait for the client is refused
#: What a transport that shares its connection is asked for beside `get_write_buffer_size`: the bytes that count as a
#: flood, with those of others.
WAITING_BYTES: Final = "uvicorn.waiting_bytes"


class WriteGate:
    """Whether the client has caught up, and who waits for that."""

    __slots__ = ("is_open", "waiters")

    def __init__(self) -> None:
        self.is_open = True
        self.waiters: list[Callable[[], None]] = []

    def close(self) -> None:
        """Have senders wait: the client is behind (the transport's `pause_writing`)."""
        self.is_open = False

    def open(self) -> None:
        """Have those who wait go on: the client has caught up, or left."""
        self.is_open = True
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            waiter()

    def wait(self, waiter: Callable[[], None]) -> None:
        """Have `waiter` called once, at the next `open`."""
        self.waiters.append(waiter)
