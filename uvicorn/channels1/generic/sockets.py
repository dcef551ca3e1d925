"""Class-based consumers of sockets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from uvicorn.channels1.auth import channel_and_http_session_user_from_http, channel_session_user_from_http
from uvicorn.channels1.channel import Group
from uvicorn.channels1.generic.base import BaseConsumer
from uvicorn.channels1.ordering import enforce_ordering

__all__ = ["JsonWebsocketConsumer", "WebsocketConsumer"]


class WebsocketConsumer(BaseConsumer):
    """The base of consumers of sockets.

    Attributes:
        http_user: `message.user` is who is logged in in the browser.
        http_user_and_session: and `message.http_session` is the session of the browser.
        strict_ordering: the methods are called in the order of the messages, as they always are here.
        groups: names of the groups that a socket is in as long as it lives.
        path: of the socket.
    """

    method_mapping: ClassVar[Mapping[str, str]] = {
        "websocket.connect": "raw_connect",
        "websocket.receive": "raw_receive",
        "websocket.disconnect": "raw_disconnect",
    }
    http_user: bool = False
    http_user_and_session: bool = False
    strict_ordering: bool = False
    groups: Any = None
    path: str

    def get_handler(self, message: Any, **kwargs: Any) -> Callable[..., Any]:
        """Return the method for a message, in the decorators that the attributes ask for."""
        if getattr(self, "slight_ordering", False):
            raise ValueError("slight ordering is always on: take slight_ordering = True away")
        if self.http_user or self.http_user_and_session:
            self.channel_session_user = True
        self.path = message["path"]
        handler = super().get_handler(message, **kwargs)
        if self.http_user_and_session:
            handler = channel_and_http_session_user_from_http(handler)
        elif self.http_user:
            handler = channel_session_user_from_http(handler)
        if self.strict_ordering:
            handler = enforce_ordering(handler)
        return handler

    def connection_groups(self, **kwargs: Any) -> Iterable[str]:
        """Return the names of the groups that a socket is in: a list, or a tuple."""
        groups: Iterable[str] = self.groups or ()
        return groups

    def raw_connect(self, message: Any, **kwargs: Any) -> None:
        """A socket asks to be opened: it joins its groups, and `connect` is called."""
        for name in self.connection_groups(**kwargs):
            Group(name, channel_layer=message.channel_layer).add(message.reply_channel)
        self.connect(message, **kwargs)

    def connect(self, message: Any, **kwargs: Any) -> None:
        """A socket asks to be opened: this accepts it."""
        self.message.reply_channel.send({"accept": True})

    def raw_receive(self, message: Any, **kwargs: Any) -> None:
        """A message has come: `receive` gets its text, or its bytes."""
        if "text" in message:
            self.receive(text=message["text"], **kwargs)
        else:
            self.receive(bytes=message["bytes"], **kwargs)

    def receive(self, text: Any = None, bytes: Any = None, **kwargs: Any) -> None:
        """A message has come."""

    def send(self, text: Any = None, bytes: Any = None, close: Any = False) -> None:
        """Send a message to the socket.

        Args:
            close: close it then; True, or a close code.
        """
        self.message.reply_channel.send(_frame(text, bytes, close))

    @classmethod
    def group_send(cls, name: str, text: Any = None, bytes: Any = None, close: Any = False) -> None:
        """Send a message to all sockets of a group."""
        Group(name).send(_frame(text, bytes, close))

    def close(self, status: Any = True) -> None:
        """Close the socket; `status` is a close code, or True."""
        self.message.reply_channel.send({"close": status})

    def raw_disconnect(self, message: Any, **kwargs: Any) -> None:
        """The socket is closed: it leaves its groups, and `disconnect` is called."""
        for name in self.connection_groups(**kwargs):
            Group(name, channel_layer=message.channel_layer).discard(message.reply_channel)
        self.disconnect(message, **kwargs)

    def disconnect(self, message: Any, **kwargs: Any) -> None:
        """The socket is closed."""


class JsonWebsocketConsumer(WebsocketConsumer):
    """A consumer of sockets whose messages are JSON."""

    def raw_receive(self, message: Any, **kwargs: Any) -> None:
        """A message has come: `receive` gets what its text says. Raises: ValueError for one in bytes."""
        if "text" not in message:
            raise ValueError("a message in bytes has come, and JSON is text")
        self.receive(self.decode_json(message["text"]), **kwargs)

    def receive(self, content: Any, **kwargs: Any) -> None:  # type: ignore[override]  # its argument is another one
        """A message has come."""

    def send(self, content: Any, close: Any = False) -> None:  # type: ignore[override]  # its argument is another one
        """Send a value to the socket, as JSON."""
        super().send(text=self.encode_json(content), close=close)

    @classmethod
    def decode_json(cls, text: str) -> Any:
        """Return what a text says."""
        return json.loads(text)

    @classmethod
    def encode_json(cls, content: Any) -> str:
        """Return a value as text."""
        return json.dumps(content)

    @classmethod
    def group_send(cls, name: str, content: Any, close: Any = False) -> None:  # type: ignore[override]  # likewise
        """Send a value to all sockets of a group, as JSON."""
        WebsocketConsumer.group_send(name, cls.encode_json(content), close=close)


def _frame(text: Any, data: Any, close: Any) -> dict[str, Any]:
    frame = {"close": close} if close else {}
    if text is not None:
        frame["text"] = text
    elif data is not None:
        frame["bytes"] = data
    else:
        raise ValueError("there is nothing to send: give text or bytes")
    return frame
