"""The decorators for sessions and for the order of messages: `session_decorators.py`, `ordering.py`."""

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
