"""A background message that its consumer wants later (`ConsumeLater`): it is sent again, ten times at most.

How often that was stands in the message, as in Channels 1, so that it is known to whichever worker gets it next. What
the consumer has written into the content goes along, too. A request or the message of a socket is tried again where it
is: see `calls.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Final

from uvicorn.errors import ChannelFull, ChannelLayerUnavailable
from uvicorn.layers.groups import Channel

__all__ = ["CANNOT_BE_SENT", "MOST_RETRIES", "is_last_try", "may_be_retried", "send_again"]

MOST_RETRIES: Final = 10  # as in Channels 1
#: what `send_again` raises when the message is to be left to the layer, which brings it again itself
CANNOT_BE_SENT: Final = (ChannelFull, ChannelLayerUnavailable)

_RETRIES: Final = "__retries__"  # the key of Channels 1
_LATER_SECONDS: Final = 1.0  # as for consumers that are not of Channels 1


def is_last_try(content: Mapping[str, Any]) -> bool:
    """Whether a message is dropped if its consumer wants it later once more."""
    return _retries(content) == MOST_RETRIES


def may_be_retried(content: Mapping[str, Any]) -> bool:
    """Whether a message may be sent again."""
    return _retries(content) < MOST_RETRIES


def send_again(channel: str, content: Mapping[str, Any]) -> Awaitable[None]:
    """Send a message again, a moment later.

    Returns: what can be awaited in a coroutine. Raises: as `uvicorn.Channel.send`.
    """
    again = {key: value for key, value in content.items() if key != "message_id"}
    again[_RETRIES] = _retries(content) + 1
    return Channel(channel).send(again, immediately=True, delay=_LATER_SECONDS)


def _retries(content: Mapping[str, Any]) -> int:
    number = content.get(_RETRIES)
    return number if isinstance(number, int) else 0
