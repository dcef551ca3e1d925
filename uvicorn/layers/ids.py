"""The ids of messages of channels: 16 characters. The id of a message with a priority says which one it has. Pure.

    6f1d2c9b8a7e4f30    any message
    p0959b8a7e4f30c1    one with the priority 5: "p", 100 - priority in three digits, and the rest

So the order is known wherever the id is, in a queue of a worker as in Redis.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["MOST_PRIORITY", "PRIORITY", "is_ranked", "new_id", "rank_of"]

PRIORITY: Final = "message_priority"  # the key of a message
MOST_PRIORITY: Final = 100  # as for tasks of Django


def new_id(content: Mapping[str, Any]) -> str:
    """Return an id for a message.

    Raises: ValueError for a priority that is none.
    """
    priority = content.get(PRIORITY)
    if priority is None:
        return os.urandom(8).hex()
    if not isinstance(priority, int) or isinstance(priority, bool) or abs(priority) > MOST_PRIORITY:
        raise ValueError(f"{PRIORITY} must be a whole number from -100 to 100, not {priority!r}")
    return f"p{MOST_PRIORITY - priority:03d}{os.urandom(6).hex()}"


def is_ranked(id: str) -> bool:
    """Whether the message of this id has a priority."""
    return id.startswith("p")


def rank_of(id: str) -> int:
    """Return a number that is lower the more urgent a message is; without a priority it has 0."""
    return int(id[1:4]) if is_ranked(id) else MOST_PRIORITY
