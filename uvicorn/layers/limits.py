"""How many messages wait in a channel, and for how long. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

__all__ = ["TASK_CHANNELS", "ChannelLimits", "check_capacity"]

TASK_CHANNELS: Final = "django.tasks."  # how the names of the channels of Django's tasks begin
_TASK_CAPACITY: Final = 10_000  # arbitrary: one loop of a view enqueues a task for each of many users


class ChannelLimits(NamedTuple):
    """The bounds of channels.

    Attributes:
        capacity: of each channel: messages that wait.
        special: (pattern of names, capacity): the first that matches a channel goes before `capacity`.
        expiry_seconds: how long a message waits for a consumer; 0 for ever. A task of Django never expires.
        deliveries: how often a message is delivered at most.
    """

    capacity: int = 100
    special: tuple[tuple[str, int], ...] = ()
    expiry_seconds: float = 86400.0
    deliveries: int = 5

    def capacity_of(self, channel: str) -> int:
        """Return how many messages may wait in a channel."""
        for pattern, capacity in self.special:
            if fnmatchcase(channel, pattern):
                return capacity
        return _TASK_CAPACITY if channel.startswith(TASK_CHANNELS) else self.capacity

    def expiry_of(self, channel: str) -> float:
        """Return for how many seconds a message may wait in a channel; 0 for ever."""
        return 0.0 if channel.startswith(TASK_CHANNELS) else self.expiry_seconds


def check_capacity(value: Any) -> tuple[int, tuple[tuple[str, int], ...]]:
    """Read "100", or "100, thumbnails=1000, mail.*=20": the capacity of channels, and of those that patterns match.

    Raises: ValueError with one sentence.
    """
    capacity, special = 100, []
    for part in str(value).split(","):
        pattern, equals, number = part.strip().rpartition("=")
        if not number.strip().isdecimal() or int(number) < 1 or (equals and not pattern):
            raise ValueError(
                f"channel_capacity must be a number of messages, or several such as '100, mail.*=20', not {value!r}"
            )
        if equals:
            special.append((pattern.strip(), int(number)))
        else:
            capacity = int(number)
    return capacity, tuple(special)
