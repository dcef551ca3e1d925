"""What a consumer passes on to others: the name of its reply channel, and the body of its request.

The server keeps the reply channel of a request whose name somebody may know (`bridge/directory.py`). In Channels 1
this name is a plain value of a message, so we look for it where it leaves the consumer, however deep it lies. That of a
socket is kept in any case.

The body was a name, too: of a channel that anybody could read from. Here it is in this worker: so it goes with the
message, as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final

from uvicorn.errors import ChannelLayerUnavailable
from uvicorn.layers.encoding import MOST_BYTES, pack

__all__ = ["keep_what_is_passed_on", "reply_channel_of_call", "with_body"]

#: the reply channel of the request that a consumer is called for; None for other messages, and when it is kept
reply_channel_of_call: Final[ContextVar[Any]] = ContextVar("reply_channel_of_call", default=None)


def keep_what_is_passed_on(*values: Any) -> None:
    """Have the server keep the reply channel of this call, if its name is one of these values, or in one of them.

    We look for it in the bytes that are sent: at the speed of C, and in a text in JSON, too.

    Args:
        values: names, and contents of messages, as they are sent.
    """
    live = reply_channel_of_call.get()
    if live is None:
        return
    try:
        packed = pack([dict(value) if isinstance(value, Mapping) else value for value in values])
    except (TypeError, ValueError, ChannelLayerUnavailable):
        return  # it cannot be sent either: whoever sends it is told
    if live.own_name.encode() in packed:
        live.name  # noqa: B018  # to read it keeps the channel
        reply_channel_of_call.set(None)


def with_body(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a content that others can read: what is unread of a request's body is in `body`.

    Args:
        content: as a consumer has got it, or a message to asgi.delay with such a one; it is not changed.

    Raises: ValueError for a body that no message can have; OSError if the disk fails.
    """
    inner = content.get("content")
    if isinstance(inner, Mapping):
        whole = with_body(inner)
        return content if whole is inner else {**content, "content": whole}
    channel: Any = content.get("body_channel")
    if not hasattr(channel, "unread"):
        return content
    if channel.size > MOST_BYTES:
        raise ValueError(
            f"a body of {channel.size} bytes cannot be passed on in a message, which has {MOST_BYTES} at most: write "
            "it to a file, and pass its name on"
        )
    rest = {key: value for key, value in content.items() if key != "body_channel"}
    return {**rest, "body": (content.get("body") or b"") + channel.unread()}
