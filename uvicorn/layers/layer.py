"""What carries messages between processes: the one interface behind which all layers are.

A layer knows processes, not sockets. A process *subscribes* to a group while it has members of it, and gets each of
its messages once; who the members are is the affair of its hub (`hub.py`). All runs on the loop, unless it says
otherwise. Awaitables need not be awaited: what fails then is logged.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, Protocol

from uvicorn.layers.history import History, Position, Recalled

__all__ = [
    "ADD", "DISCARD", "FAILED", "KEEP", "LATER", "PUBLISH", "RETURNED", "SEND", "UNDONE", "UNKNOWN", "Delivery",
    "Intake", "Layer", "Receiver",
]  # fmt: skip

# What one process asks of another: of the hub that has a reply channel.
SEND = "send"  # a reply, for the channel
PUBLISH = "publish"  # a program asks for it: to all members of a group
KEEP = "keep"  # the same for a group with a history
ADD = "add"  # the channel is to be a member of the group
DISCARD = "discard"


# What came of a delivery.
RETURNED = "returned"  # the consumer has: the message is done with
FAILED = "failed"  # the consumer has raised
LATER = "later"  # the consumer wants it again, a little later
UNDONE = "undone"  # no consumer was called: it is for another process
UNKNOWN = "unknown"  # no route leads from its content to a consumer


class Delivery:
    """One message of a channel, in the hands of a process.

    Attributes:
        id: the message's own: the same each time that it is delivered.
        number: of the delivery: 1 for the first.
        receipt: what the layer needs to settle it.
    """

    __slots__ = ("channel", "content", "id", "number", "receipt")

    def __init__(self, channel: str, content: dict[str, Any], id: str, number: int = 1, receipt: Any = None) -> None:
        self.channel = channel
        self.content = content
        self.id = id
        self.number = number
        self.receipt = receipt


class Intake(Protocol):
    """What a layer brings messages of channels to."""

    def room(self, channel: str) -> int:
        """Return how many more messages of a channel this process can take now."""

    def take(self, delivery: Delivery) -> None:
        """Call the consumer of a message; `Layer.settle` is called once, when that has ended."""

    def on_given_up(self, delivery: Delivery, why: str) -> None:
        """A message is put aside, and not delivered any more. Nothing is settled."""


class Receiver(Protocol):
    """What a layer brings messages to: the hub."""

    @property
    def node(self) -> str:
        """The name of this process, in the names of its reply channels."""

    def on_group(self, group: str, content: Mapping[str, Any]) -> None:
        """A message has come for the members of a group."""

    def on_kept(self, group: str, epoch: str, offset: int, content: Mapping[str, Any], size: int) -> None:
        """A message has come for the members of a group with a history; it may come twice, or out of order.

        Args:
            size: bytes, encoded.
        """

    def on_doubt(self) -> None:
        """Messages of groups with a history may not have come: the layer is to be asked."""

    def on_request(self, kind: str, channel: str, content: Any) -> Awaitable[Any]:
        """Another process asks something of one of our reply channels: SEND, ADD or DISCARD.

        Returns: what is done when it holds. Raises: what is wrong; that is answered, as what is raised when awaited.
        """

    def on_gap(self, groups: Iterable[str] | None, missed: int | None) -> None:
        """Messages of these groups may be lost: so many; None for all groups, or for an unknown number."""

    def names_in(self, group: str) -> list[str]:
        """Return the names of the members of a group that this process has."""


class Layer(Protocol):
    """The way to other processes."""

    @property
    def name(self) -> str:
        """How logs call it: its URL, without a password."""

    @property
    def takes_in_order(self) -> bool:
        """Whether `put` can be called again for a channel before it is done: of those the first ones are taken."""

    async def start(self, receiver: Receiver) -> None:
        """Begin to carry messages. A layer that cannot be reached says so in the log, and goes on trying."""

    async def stop(self) -> None:
        """Send what was handed over, in a bounded time, and leave."""

    def tick(self) -> None:
        """Do once a second what depends on time."""

    def subscribe(self, group: str) -> Awaitable[Any]:
        """Have the messages of a group come; awaited, from then on none is missed."""

    def unsubscribe(self, group: str) -> None:
        """Have them come no more."""

    def publish(self, group: str, content: dict[str, Any]) -> Awaitable[Any]:
        """Send to all processes that have subscribed to a group, this one included.

        Raises: TypeError, ValueError for what cannot be encoded; ChannelLayerUnavailable.
        """

    def check_history(self) -> None:
        """Raise ValueError with one sentence if this layer keeps no history."""

    def keep(self, group: str, content: dict[str, Any], history: History) -> Awaitable[Any]:
        """Send to all processes that have subscribed to a group, and keep it in the group's history.

        Raises: as `publish` does.
        """

    def recall(self, group: str, history: History, known: Position | None) -> Awaitable[Recalled]:
        """Return the epoch of a group's history, and what is kept of it after `known`.

        If the history has gone back behind what is known, it begins a new epoch. To ask keeps the history for another
        `history.seconds`. What is kept before is found here or comes to the receiver, for who has subscribed before.
        Raises: when awaited, ChannelLayerUnavailable.
        """

    def request(self, node: str, kind: str, channel: str, content: Any) -> Awaitable[Any]:
        """Ask something of another process; one that is gone is no error.

        Returns: what is done, for ADD and DISCARD, when the other one has done it: it hears what is sent to the group
            after that. Raises: ChannelLayerUnavailable, also when awaited.
        """

    async def members(self, group: str) -> list[str]:
        """Return the names of the members of a group that other processes have; of those that do not answer, none.

        Raises: NotImplementedError for a layer that cannot tell; ChannelLayerUnavailable.
        """

    def put(self, channel: str, content: dict[str, Any], delay: float) -> Awaitable[Any]:
        """Send to one of the processes that consume a channel; or, with a delay, to a reply channel.

        Raises: ChannelFull; TypeError, ValueError; ChannelLayerUnavailable.
        """

    def consume(self, channels: Iterable[str], intake: Intake) -> None:
        """Have the messages of these channels come, as many as there is room for. Called once, after `start`."""

    def retire(self) -> None:
        """Take no more messages of channels, because the worker stops; those that wait here are for others."""

    def settle(self, delivery: Delivery, outcome: str) -> None:
        """The consumer of a message has ended: one of the outcomes above. There may be room for more now."""
