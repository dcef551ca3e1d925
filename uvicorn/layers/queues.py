"""The messages of channels that wait in this process. Pure, but for the clock that it is given.

Messages of all channels are taken in the order in which they came, as far as there is room for their channel; those of
one channel by their priority first.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from uvicorn.layers.ids import rank_of
from uvicorn.layers.limits import ChannelLimits

__all__ = ["Queues", "Waiting"]

_MOST_CHANNELS: Final = 10_000  # with messages that wait; arbitrary


class Waiting(NamedTuple):
    """One message that waits.

    Attributes:
        number: when it came, before and after others.
        since: seconds, of the clock.
        number_of_delivery: 1 for the first.
    """

    number: int
    since: float
    channel: str
    id: str
    content: Any
    delivery: int = 1


class Queues:
    """A bounded queue for each channel.

    Attributes:
        aside: channel -> how many of its messages wait elsewhere, and count, too.
    """

    def __init__(self, limits: ChannelLimits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._queues: dict[str, deque[Waiting]] = {}
        self._number = 0
        self.aside: Final[Counter[str]] = Counter()
        self.expired: Final[dict[str, int]] = {}  # channel -> how many, since somebody looked

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    @property
    def is_crowded(self) -> bool:
        """Whether messages wait in as many channels as may have some."""
        return len(self._queues) >= _MOST_CHANNELS

    def count(self, channel: str) -> int:
        """Return how many messages wait in a channel."""
        return len(self._queues.get(channel, ()))

    def add(self, channel: str, id: str, content: Any, is_beyond: bool = False, delivery: int = 1) -> bool:
        """Let a message wait; return False if as many wait as may."""
        queue = self._queues.get(channel)
        if queue is None:
            if self.is_crowded and not is_beyond:
                return False
            queue = deque()
        self._expire(channel, queue)
        if len(queue) + self.aside[channel] >= self._limits.capacity_of(channel) and not is_beyond:
            return False
        self._number += 1
        at, rank = len(queue), rank_of(id)
        while at and rank_of(queue[at - 1].id) > rank:
            at -= 1
        queue.insert(at, Waiting(self._number, self._clock(), channel, id, content, delivery))
        self._queues[channel] = queue
        return True

    def take(self, has_room: Callable[[str], bool]) -> Waiting | None:
        """Return the message that came first, of those whose channel has room; None if there is none."""
        for channel, queue in tuple(self._queues.items()):
            self._expire(channel, queue)
        first = min(
            (queue[0] for channel, queue in self._queues.items() if queue and has_room(channel)),
            default=None,
            key=lambda waiting: waiting.number,
        )
        if first is None:
            return None
        queue = self._queues[first.channel]
        queue.popleft()
        if not queue:
            del self._queues[first.channel]
        return first

    def take_channel(self, channel: str) -> Iterator[Waiting]:
        """Take all messages of a channel."""
        queue = self._queues.pop(channel, None)
        while queue:
            yield queue.popleft()

    def drain(self) -> Iterator[Waiting]:
        """Take all messages."""
        for channel in self.channels():
            yield from self.take_channel(channel)

    def channels(self) -> tuple[str, ...]:
        """Return the channels in which messages wait."""
        return tuple(self._queues)

    def tick(self) -> None:
        """Drop what has waited for too long."""
        for channel in [channel for channel, count in self.aside.items() if not count]:
            del self.aside[channel]
        for channel, queue in tuple(self._queues.items()):
            self._expire(channel, queue)

    def _expire(self, channel: str, queue: deque[Waiting]) -> None:
        longest = self._limits.expiry_of(channel)
        if not longest:
            return
        before = self._clock() - longest
        while queue and queue[0].since < before:
            queue.popleft()
            self.expired[channel] = self.expired.get(channel, 0) + 1
        if not queue:
            self._queues.pop(channel, None)
