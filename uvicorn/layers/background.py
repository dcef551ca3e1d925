"""Messages of channels in a worker: from the layer to their consumers, and what came of them back. Loop thread only.

The layer asks how much there is room for (`room`) before it brings a message, so none waits in a worker for longer than
for a thread: what is not taken stays with the layer, where others can take it. Each delivery is settled once, when its
consumer has ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, Protocol

from uvicorn.errors import ConsumeLater, NotCalled, TaskFailed
from uvicorn.layers.encoding import RequestContent
from uvicorn.layers.groups import Channel
from uvicorn.layers.layer import FAILED, LATER, RETURNED, UNDONE, UNKNOWN, Delivery, Layer
from uvicorn.layers.log import Log
from uvicorn.messages import Message

__all__ = ["Background", "Calls", "Found"]


class Found(Protocol):
    """A consumer, as far as we look at it."""

    is_async: bool
    name: str
    pool: Any
    target: Any


class Calls(Protocol):
    """What calls consumers."""

    def most(self, consumer: Any) -> int:
        """Return how many calls of a consumer may run at once."""

    def start(
        self, consumer: Any, message: Message, ended: Callable[[BaseException | None], None], request_id: str | None
    ) -> None:
        """Call a consumer; `ended` is called once, with what it raised. `request_id` is that of the sender, if any."""


class Background:
    """The consumers of channels in one worker.

    Args:
        channels: each channel that is consumed here, with all consumers that routes lead to.
        find: returns the consumer for a message of a channel, or None.
        log_for: returns what logs lines that belong to a request, by its id.
    """

    def __init__(
        self,
        layer: Layer,
        channels: Mapping[str, Iterable[Found]],
        find: Callable[[str, Mapping[str, Any]], Found | None],
        calls: Calls,
        log: Log,
        log_for: Callable[[str], Log] | None = None,
    ) -> None:
        self._log_for = log_for
        self._layer = layer
        self.channels: Final = {channel: tuple(consumers) for channel, consumers in channels.items()}
        self._find = find
        self._calls = calls
        self._log = log
        self._running: Counter[Any] = Counter()  # by what they run in: a pool, or the loop
        self._is_stopping = False

    def start(self) -> None:
        """Have messages come."""
        if self.channels:
            self._layer.consume(self.channels, self)

    def begin_stopping(self) -> None:
        """Take no more."""
        self._is_stopping = True

    def room(self, channel: str) -> int:
        """Return how many more messages of a channel this worker can take now."""
        if self._is_stopping:
            return 0
        return min(
            (self._calls.most(consumer) - self._running[_lane(consumer)] for consumer in self.channels[channel]),
            default=0,
        )

    def take(self, delivery: Delivery) -> None:
        """Call the consumer of a message."""
        channel, content = delivery.channel, delivery.content
        try:
            consumer = self._find(channel, content) if isinstance(content, dict) else None
        except Exception as error:  # an application's own matching; and the layer has others to deliver
            self._log.error("Error in the routes for a message of %s", channel, exc_info=error)
            self._layer.settle(delivery, UNKNOWN)
            return
        if consumer is None:
            self._log.error("No consumer for a message of %s: its routes match other messages", channel)
            self._layer.settle(delivery, UNKNOWN)
            return
        self._running[_lane(consumer)] += 1
        self._calls.start(consumer, _message(delivery), partial(self._ended, delivery, consumer), _id_of(delivery))

    def on_given_up(self, delivery: Delivery, why: str) -> None:
        """A message is put aside: its consumer is called with the reason, if it wants to know (`hears_given_up`)."""
        channel, content = delivery.channel, delivery.content
        try:
            consumer = self._find(channel, content) if isinstance(content, dict) else None
        except Exception:  # it is logged already that the message is given up
            return
        if consumer is not None and getattr(consumer.target, "hears_given_up", False):
            message = _message(delivery)
            message["given_up"] = why
            self._calls.start(consumer, message, partial(self._heard, delivery, consumer), _id_of(delivery))

    def _heard(self, delivery: Delivery, consumer: Found, error: BaseException | None) -> None:
        if error is not None:
            self._log_of(delivery).error("Error in %s, over a message that is given up", consumer.name, exc_info=error)

    def _log_of(self, delivery: Delivery) -> Log:
        """Return what logs lines about a message: they belong to the request that has sent it."""
        request_id = _id_of(delivery)
        return self._log if request_id is None or self._log_for is None else self._log_for(request_id)

    def _ended(self, delivery: Delivery, consumer: Found, error: BaseException | None) -> None:
        self._running[_lane(consumer)] -= 1
        if error is None:
            outcome = RETURNED
        elif isinstance(error, ConsumeLater):
            outcome = LATER
        elif isinstance(error, NotCalled):
            outcome = UNDONE
        else:
            outcome = RETURNED if isinstance(error, TaskFailed) else FAILED
            self._log_of(delivery).error(
                "Error in %s: a message of %s, delivery %d",
                consumer.name,
                delivery.channel,
                delivery.number,
                exc_info=(type(error), error, error.__traceback__),
            )
        self._layer.settle(delivery, outcome)


def _message(delivery: Delivery) -> Message:
    message = Message(delivery.content)
    message["channel"] = delivery.channel
    message["message_id"] = delivery.id
    if (request_id := _id_of(delivery)) is not None:
        message.setdefault("request_id", request_id)
    if isinstance(delivery.content.get("reply_channel"), str):
        try:
            message["reply_channel"] = Channel(delivery.content["reply_channel"])
        except ValueError:
            pass  # it is no name, and whoever sent it may have meant something else
    return message


def _id_of(delivery: Delivery) -> str | None:
    content = delivery.content
    return content.request_id if isinstance(content, RequestContent) else None


def _lane(consumer: Found) -> Any:
    return "loop" if consumer.is_async else consumer.pool
