"""What a reply channel needs of the exchange, or the socket, that writes its replies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from uvicorn.wire.reply import Fields

__all__ = ["ReplySink", "Sink"]


class Sink(Protocol):
    """What a channel needs of an exchange. All methods run on: the loop."""

    # Read by any thread, written by the loop:
    is_closed: bool  # takes no reply any more
    is_lost: bool  # closed before the response was complete
    is_stopping: bool  # lost because the worker stops

    @property
    def write_buffer(self) -> int:
        """How many bytes may wait for the client before a sender has to."""

    def reply(self, reply: Any) -> bool | None:
        """Write one checked `Reply`, of a socket a `SocketReply`; do nothing if the exchange is closed.

        Returns: True if the client has caught up."""

    def on_dropped(self, _: object = None) -> None:
        """Nobody can reply any more (the lifetime rule)."""

    def is_writable(self) -> bool:
        """Whether the client has caught up."""

    def is_flooded(self) -> bool:
        """Whether so much waits for the client that a reply must be refused."""

    def when_writable(self, callback: Callable[[], None]) -> None:
        """Call back once, when the client has caught up or the exchange is lost."""

    def set_waiting(self, is_waiting: bool) -> None:
        """Mark the exchange's thread as blocked in a channel. Runs on: that thread."""

    def refuse(self, status: int, reason: str, retry_after: int = 0, setting: str = "other") -> None:
        """Answer instead of the consumer, or close. Runs on: the loop."""


class ReplySink(Sink, Protocol):
    """What the channel of a request needs, beyond what that of a socket does."""

    is_answered: bool  # a thread has sent the whole reply; written by that thread
    is_head: bool
    work: Any  # what an application says of its work in threads, for the log

    def hint(self, fields: Fields) -> None:
        """Send an informational response, 103 Early Hints; do nothing if it would come too late. Runs on: the loop."""

    def read_aside(self, work: Callable[[], Any], on_done: Callable[[Any], None]) -> None:
        """Have a thread for files do some work; call back with what it has returned, or raised. Runs on: the loop."""
