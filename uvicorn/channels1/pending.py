"""What a consumer has sent, until it returns: `pending_message_store`.

The store belongs to one call: it stands in the call's context, and so in its thread. On a server it is then given to
what the server itself keeps until a consumer has returned; in a test it is sent.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import Any, Final

from uvicorn.errors import ChannelFull

__all__ = ["PendingMessageStore", "pending_message_store"]

_MOST_KEPT: Final = 10_000  # messages of one consumer, as `uvicorn.Group` has it


class PendingMessageStore:
    """The messages of the consumer that runs, in their order.

    Attributes:
        retry_time: seconds for which a channel that is full is tried again.
        retry_interval: seconds between two tries.
    """

    retry_time: float = 2
    retry_interval: float = 0.2

    def __init__(self) -> None:
        self._messages: ContextVar[list[tuple[Any, Any]] | None] = ContextVar("pending_messages", default=None)

    @property
    def active(self) -> bool:
        """Whether a synchronous consumer runs here, so that messages wait."""
        return self._messages.get() is not None

    def prepare(self, **kwargs: Any) -> None:
        """Begin to keep messages."""
        self._messages.set([])

    def append(self, sender: Any, message: Any) -> None:
        """Keep one message, for a Channel or a Group. Raises: ChannelFull if there are far too many."""
        messages = self._messages.get()
        assert messages is not None, "no consumer runs"
        if len(messages) >= _MOST_KEPT:
            raise ChannelFull(
                f"a consumer can send {_MOST_KEPT} messages before it returns: send others with immediately=True"
            )
        messages.append((sender, message))

    def discard(self) -> None:
        """Forget what was kept: the consumer has failed."""
        self._messages.set(None)

    def send_and_flush(self, **kwargs: Any) -> None:
        """Send what was kept.

        Raises: RuntimeError if a channel stays full for `retry_time`; what follows is sent all the same.
        Blocks: until it is sent, or for `retry_time` per message.
        """
        messages = self._messages.get() or ()
        self._messages.set(None)
        given_up = []
        for sender, message in messages:
            if not self._is_sent(sender, message):
                given_up.append(str(sender))
        if given_up:
            raise RuntimeError(
                f"full for {self.retry_time} seconds, so that a message was dropped: {', '.join(given_up)}; have more "
                "consumers for it, or say immediately=True and handle ChannelFull"
            )

    def _is_sent(self, sender: Any, message: Any) -> bool:
        full = getattr(sender.channel_layer, "ChannelFull", ChannelFull)
        end = time.monotonic() + self.retry_time
        while True:
            try:
                sender.deliver(message)
                return True
            except full:
                if time.monotonic() >= end:
                    return False
                time.sleep(self.retry_interval)


pending_message_store: Final = PendingMessageStore()
