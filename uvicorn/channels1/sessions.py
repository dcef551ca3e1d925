"""The decorators for sessions and for the order of messages: `session_decorators.py`, `ordering.py`."""

from __future__ import annotations

from typing import Any, Final

from uvicorn.channels1.ordering import enforce_ordering
from uvicorn.channels1.session_decorators import (
    channel_and_http_session,
    channel_session,
    http_session,
    session_for_reply_channel,
)

__all__ = [
    "channel_and_http_session",
    "channel_session",
    "enforce_ordering",
    "http_session",
    "session_for_reply_channel",
]

_GONE: Final = ("requeue_messages", "wait_channel_name")


def __getattr__(name: str) -> Any:
    """Say why a name of Channels 1 is not there. Raises: ImportError, or AttributeError for any other name."""
    if name in _GONE:
        raise ImportError(f"{__name__}.{name} is not there: the server brings messages in order, and none waits")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
