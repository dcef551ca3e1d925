"""`enforce_ordering`: the messages of a socket are worked on in their order.

This server calls the consumers of a socket in order, one at a time, so there is nothing to do. A test may bring
messages in any order: those that come too early wait on a channel of their own, as in Channels 1.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from uvicorn.channels1.session_decorators import channel_session, check_synchronous, message_of

__all__ = ["enforce_ordering"]

_NEXT = "__channels_next_order"


def enforce_ordering(consumer: Callable[..., Any] | None = None, slight: bool = False) -> Any:
    """Have a consumer called for the messages of a socket in their order; implies `channel_session`.

    Raises: ValueError for `slight`, which has long been without effect, and for a message that has no `order`.
    """
    if slight:
        raise ValueError("slight ordering is always on: take slight=True away")
    return _ordered if consumer is None else _ordered(consumer)


def _ordered(consumer: Callable[..., Any]) -> Callable[..., Any]:
    check_synchronous("enforce_ordering", consumer)

    @channel_session
    @functools.wraps(consumer)
    def in_order(*args: Any, **kwargs: Any) -> Any:
        message, args = message_of("enforce_ordering", args)
        if "order" not in message.content:
            raise ValueError("enforce_ordering is for messages that have an order: those of a websocket")
        if message.channel_layer.keeps_order:
            return consumer(*args, **kwargs)
        order = int(message["order"])
        session = message.channel_session
        if order != session.get(_NEXT, 0):
            _wait(message)
            return None
        result = consumer(*args, **kwargs)
        session[_NEXT] = order + 1
        session.save()
        session.modified = False
        _go_on(message)
        return result

    return in_order


def _waiting(message: Any) -> str:
    return f"__wait__.{message.reply_channel.name.replace('!', '?')}"


def _wait(message: Any) -> None:
    """Put a message aside."""
    content = {**message.content, "original_channel": message.channel.name}
    message.channel_layer.send(_waiting(message), content)


def _go_on(message: Any) -> None:
    """Bring back the messages that were put aside; those that are still too early come here again."""
    while True:
        channel, content = message.channel_layer.receive([_waiting(message)])
        if channel is None:
            return
        message.channel_layer.send(content.pop("original_channel"), content)
