"""The message of Channels 1: its content is a dict of plain values, and decorators put attributes on it.

content              dict     plain values: a channel is its name
channel              Channel  where it came from
channel_layer                 see `asgi.py`
reply_channel        Channel  or None
channel_session, http_session, user    there when a decorator has put them there
"""

from __future__ import annotations

import copy
from collections.abc import ItemsView, KeysView, Mapping, ValuesView
from typing import Any, Final

from uvicorn.channels1.channel import Channel, ReplyChannel
from uvicorn.channels1.pending import PendingMessageStore, pending_message_store
from uvicorn.channels1.used_django import chosen_subprotocol

__all__ = ["Message", "PendingMessageStore", "pending_message_store"]

# Of a message of the server: told by attributes here, or not at all where it is None.
_ATTRIBUTES: Final = frozenset({"channel", "channel_session"})
_WHERE_THERE: Final = frozenset({"text", "bytes", "body_channel", "request_id"})


class Message:
    """One message for a consumer.

    Args:
        content: keys and values, `reply_channel` among them if there is one.
        channel_name: where it comes from.

    Attributes:
        memory_session: a dict that lives as long as the socket or the request, for when there is no store of sessions.
    """

    memory_session: Any = None

    def __init__(self, content: dict[str, Any], channel_name: str, channel_layer: Any = None) -> None:
        self.content = content
        self.channel = Channel(channel_name, channel_layer=channel_layer)
        name = content.get("reply_channel")
        self.reply_channel: Channel | None = Channel(name, channel_layer=channel_layer) if name else None

    @classmethod
    def received(cls, served: Mapping[str, Any], channel_layer: Any = None) -> Message:
        """Make one of a message of the server."""
        content = {
            key: value
            for key, value in served.items()
            if key not in _ATTRIBUTES and (value is not None or key not in _WHERE_THERE)
        }
        live: Any = content.get("reply_channel")
        if hasattr(live, "own_name"):
            # A socket's channel is kept until it closes. That of a request only if its name is passed on, so that a
            # consumer that forgets to answer is answered for at once.
            is_socket = live.own_name.startswith("websocket.")
            content["reply_channel"] = live.name if is_socket else live.own_name
            message = cls(content, served["channel"], channel_layer)
            message.reply_channel = ReplyChannel(live, channel_layer, chosen_subprotocol(served))
        else:  # of a background message: whoever sent it has given a name
            if live is not None:
                content["reply_channel"] = getattr(live, "name", live)
            message = cls(content, served["channel"], channel_layer)
        message.memory_session = served.get("channel_session")
        return message

    @property
    def channel_layer(self) -> Any:
        """The layer that the message came through."""
        return self.channel.channel_layer

    def __getitem__(self, key: str) -> Any:
        if key == "reply_channel" and self.reply_channel is not None:
            self.reply_channel.name  # noqa: B018  # who reads it may pass it on in any way: so it is kept
        return self.content[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.content[key] = value

    def __contains__(self, key: object) -> bool:
        return key in self.content

    def __repr__(self) -> str:
        return f"<Message on {self.channel.name} with {', '.join(map(str, self.content))}>"

    def keys(self) -> KeysView[str]:
        """Return the keys of the content."""
        return self.content.keys()

    def values(self) -> ValuesView[Any]:
        """Return the values of the content."""
        return self.content.values()

    def items(self) -> ItemsView[str, Any]:
        """Return keys and values of the content."""
        return self.content.items()

    def get(self, key: str, default: Any = None) -> Any:
        """Return one value of the content."""
        return self[key] if key in self.content else default

    def copy(self) -> Message:
        """Return a copy whose content can be changed."""
        content = {key: value if key == "body_channel" else copy.deepcopy(value) for key, value in self.items()}
        return self._with(content)

    def replaced(self, **values: Any) -> Message:
        """Return a copy with other values."""
        return self._with({**self.content, **values})

    def _with(self, content: dict[str, Any]) -> Message:
        other = self.__class__(content, self.channel.name, self.channel._layer)
        other.reply_channel = self.reply_channel
        return other
