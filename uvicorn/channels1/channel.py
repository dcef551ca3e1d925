"""`Channel` and `Group`, with the arguments that they had in Channels 1.

What a synchronous consumer sends waits in the `pending_message_store` until it has returned; everywhere else it goes
out at once. A reply to the message of a socket or a request never waits; that to a background message, whose reply
channel is a name, does: so it comes after what was sent before it, and after the session is saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from uvicorn.channels1.names import DEFAULT_CHANNEL_LAYER, text_of
from uvicorn.channels1.passing import with_body
from uvicorn.channels1.pending import pending_message_store
from uvicorn.errors import ChannelClosed, ReplyError
from uvicorn.layers.handover import DONE

__all__ = ["Channel", "Group", "ReplyChannel"]


class _Named:
    """What has a name, and a layer to send through.

    Args:
        name: ASCII; bytes are decoded.
        alias: of the layer, if `channel_layer` does not give it; looked up when it is needed.
    """

    def __init__(self, name: str | bytes, alias: str = DEFAULT_CHANNEL_LAYER, channel_layer: Any = None) -> None:
        self.name = text_of(name)
        self._alias = alias
        self._layer = channel_layer

    @property
    def channel_layer(self) -> Any:
        """The layer that messages go through."""
        if self._layer is None:
            from uvicorn.channels1.asgi import channel_layers  # it knows routes, and those need settings

            self._layer = channel_layers[self._alias]
        return self._layer

    def _keep(self, content: Mapping[str, Any]) -> None:
        """Keep a message until the consumer has returned.

        Raises: what the layer would raise then for a wrong name, which has no place there: the reply is out.
        """
        check = getattr(self.channel_layer, "check", None)
        if check is not None:
            check(self.name, content, isinstance(self, Group))
        pending_message_store.append(self, content)

    def __str__(self) -> str:
        return str(self.name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class Channel(_Named):
    """A channel to send messages to, by its name."""

    def send(self, content: Mapping[str, Any], immediately: bool = False, delay: float | None = None) -> Any:
        """Send a message.

        Args:
            immediately: do not wait for the consumer to return.
            delay: seconds; our addition.

        Returns: what can be awaited in a coroutine.
        Raises: TypeError if the content is no dict; ChannelFull and others, if it is sent at once.
        """
        content = _checked(content, TypeError)
        if delay is not None:
            later = {"channel": self.name, "content": dict(content), "delay": int(delay * 1000)}
            return Channel("asgi.delay", channel_layer=self.channel_layer).send(later, immediately)
        if not immediately and pending_message_store.active:
            return self._keep(content)
        return self.deliver(content, immediately)

    def deliver(self, content: Mapping[str, Any], immediately: bool = False) -> Any:
        """Give a message to the layer."""
        layer = self.channel_layer
        if getattr(layer, "defers", False):
            return layer.send(self.name, content, immediately)
        return layer.send(self.name, content)


class ReplyChannel(Channel):
    """The way to whoever a message came from, on a server: nothing lies in between, and nothing waits.

    Args:
        live: the channel of the server.
        subprotocol: of a socket, once it is accepted: consumers of that time had no way to say it.
    """

    def __init__(self, live: Any, channel_layer: Any = None, subprotocol: str | None = None) -> None:
        super().__init__("", channel_layer=channel_layer)
        self.live = live
        self._subprotocol = subprotocol

    @property
    def name(self) -> str:
        """Its name; who reads it may pass it on, and so the server keeps the channel."""
        return str(self.live.name)

    @name.setter
    def name(self, name: str) -> None:
        """Do nothing: the server has given it."""

    def send(self, content: Mapping[str, Any], immediately: bool = False, delay: float | None = None) -> Any:
        """Send a reply.

        What is sent to a socket that is closed is dropped, as it was, whoever has closed it.

        Returns: what can be awaited in a coroutine.
        Raises: ReplyError for one that is not allowed; ChannelClosed if the client of a request has left.
        """
        if delay is not None:
            return super().send(content, immediately, delay)
        live = self.live
        is_socket = live.own_name.startswith("websocket.")
        done: Any = DONE
        for reply in _replies(content):
            if is_socket and live.closed:
                break
            if self._subprotocol is not None and any(reply.get(key) for key in ("accept", "text", "bytes")):
                reply = {"subprotocol": self._subprotocol, **reply, "accept": True}
                self._subprotocol = None
            try:
                done = live.send(reply)
            except (ChannelClosed, ReplyError) as error:
                # A socket may have been closed since we looked, from another thread or by its client.
                if not is_socket or not (live.closed or isinstance(error, ChannelClosed)):
                    raise
        return done


class Group(_Named):
    """The reply channels that are in a group: what is sent to it reaches all of them."""

    def add(self, channel: Any) -> Any:
        """Put a channel into the group: a Channel, or its name."""
        return self.channel_layer.group_add(self.name, _member(channel))

    def discard(self, channel: Any) -> Any:
        """Take a channel out of the group."""
        return self.channel_layer.group_discard(self.name, _member(channel))

    def send(self, content: Mapping[str, Any], immediately: bool = False) -> Any:
        """Send a message to all of them. Args, Raises: as for `Channel.send`; ValueError if the content is no dict."""
        content = _checked(content, ValueError)
        if not immediately and pending_message_store.active:
            return self._keep(content)
        return self.deliver(content, immediately)

    def deliver(self, content: Mapping[str, Any], immediately: bool = False) -> Any:
        """Give a message to the layer."""
        layer = self.channel_layer
        if getattr(layer, "defers", False):
            return layer.send_group(self.name, content, immediately)
        return layer.send_group(self.name, content)


def _checked(content: object, error: type[Exception]) -> Mapping[str, Any]:
    if not isinstance(content, Mapping):
        raise error(f"a message must be a dict, not {type(content).__name__}")
    return with_body(content)  # now: it is read, and what is wrong with it is raised, on the consumer's own line


def _member(channel: Any) -> Any:
    return text_of(getattr(channel, "name", channel))


def _replies(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the replies of this server for one of Channels 1."""
    reply = {key: value for key, value in content.items() if key != "status_text"}
    if isinstance(reply.get("headers"), Mapping):
        reply["headers"] = list(reply["headers"].items())
    if reply.get("text") is not None and reply.get("bytes") is not None:  # bytes went first, then text
        first: dict[str, Any] = {key: reply.pop(key) for key in ("bytes", "accept", "headers") if key in reply}
        return [first, reply]
    return [reply]
