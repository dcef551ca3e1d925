"""What a consumer passes on to others: the name of its reply channel.

The server keeps the reply channel of a request whose name somebody may know (`bridge/directory.py`). In Channels 1
this name is a plain value of a message, so we look for it where it leaves the consumer, however deep it lies.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final

__all__ = ["keep_what_is_passed_on", "reply_channel_of_call"]

#: the reply channel of the message that a consumer is called for
reply_channel_of_call: Final[ContextVar[Any]] = ContextVar("reply_channel_of_call", default=None)


def keep_what_is_passed_on(*values: Any) -> None:
    """Have the server keep the reply channel of this call, if its name is one of these values, or in one of them.

    Args:
        values: names, and contents of messages.
    """
    live = reply_channel_of_call.get()
    if live is not None and _has(values, live.own_name):
        live.name  # noqa: B018  # to read it keeps the channel


def _has(value: Any, name: str) -> bool:
    if isinstance(value, str):
        return value == name
    if isinstance(value, Mapping):
        return any(_has(each, name) for each in value.values())
    return isinstance(value, (list, tuple)) and any(_has(each, name) for each in value)
