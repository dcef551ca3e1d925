"""What a consumer passes on to others: the name of its reply channel, and the body of its request.

The server keeps the reply channel of a request whose name somebody may know (`bridge/directory.py`). In Channels 1
this name is a plain value of a message, so we look for it where it leaves the consumer, however deep it lies.

The body was a name, too: of a channel that anybody could read from. Here it is in this worker: so it goes with the
message, as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final

from uvicorn.layers.encoding import MOST_BYTES

__all__ = ["keep_what_is_passed_on", "reply_channel_of_call", "with_body"]

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


def _has(value: Any, name: str) -> bool:
    if isinstance(value, str):
        return value == name
    if isinstance(value, Mapping):
        return any(_has(each, name) for each in value.values())
    return isinstance(value, (list, tuple)) and any(_has(each, name) for each in value)
