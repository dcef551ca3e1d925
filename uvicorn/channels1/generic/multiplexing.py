"""Several streams on one socket: `WebsocketDemultiplexer` brings each to its consumer, `WebsocketMultiplexer` answers.

A message is `{"stream": name, "payload": {...}}`, in both directions.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from uvicorn.channels1.channel import Group
from uvicorn.channels1.exceptions import SendNotAvailableOnDemultiplexer
from uvicorn.channels1.generic.sockets import JsonWebsocketConsumer

__all__ = ["WebsocketDemultiplexer", "WebsocketMultiplexer"]


class WebsocketMultiplexer:
    """What sends on one stream of a socket; the consumers get it as `multiplexer`.

    Args:
        stream: its name.
    """

    stream: Any = None
    reply_channel: Any = None

    def __init__(self, stream: str, reply_channel: Any) -> None:
        self.stream = stream
        self.reply_channel = reply_channel

    def send(self, payload: Any) -> None:
        """Send a value to the socket."""
        self.reply_channel.send(self.encode(self.stream, payload))

    @classmethod
    def encode_json(cls, content: Any) -> str:
        """Return a value as text; Django's encoder knows dates and decimals, too."""
        from django.core.serializers.json import DjangoJSONEncoder

        return json.dumps(content, cls=DjangoJSONEncoder)

    @classmethod
    def encode(cls, stream: str, payload: Any) -> dict[str, Any]:
        """Return the message for one value."""
        return {"text": cls.encode_json({"stream": stream, "payload": payload})}

    @classmethod
    def group_send(cls, name: str, stream: str, payload: Any, close: Any = False) -> None:
        """Send a value to all sockets of a group."""
        message = cls.encode(stream, payload)
        if close:
            message["close"] = True
        Group(name).send(message)


class WebsocketDemultiplexer(JsonWebsocketConsumer):
    """A consumer of sockets that brings what comes to the consumers of streams.

    They hear of every connection and of its end, and of the messages of their own stream, whose `text` is the payload.
    They answer with the `multiplexer` that they get as an argument.

    Attributes:
        consumers: name of a stream -> its consumer, a class or a function.
        multiplexer_class: makes the multiplexers.
    """

    consumers: ClassVar[Mapping[str, Callable[..., Any]]] = {}
    multiplexer_class: ClassVar[type[WebsocketMultiplexer]] = WebsocketMultiplexer

    def receive(self, content: Any, **kwargs: Any) -> None:  # type: ignore[override]  # as in its base
        """A message has come. Raises: ValueError if it is not one of a stream that there is."""
        if not (isinstance(content, dict) and "stream" in content and "payload" in content):
            raise ValueError("a message of no stream has come: it must have the keys stream and payload")
        stream, payload = content["stream"], content["payload"]
        if stream not in self.consumers:
            raise ValueError(f"a message of the stream {stream!r} has come, which is not in consumers")
        if not isinstance(payload, dict):
            raise ValueError(f"the payload of a message of the stream {stream!r} must be a dict")
        self.message.content["text"] = self.encode_json(payload)
        self._call(stream, self.message, kwargs)

    def connect(self, message: Any, **kwargs: Any) -> None:
        """A socket asks to be opened: this accepts it, and all consumers hear of it."""
        self.message.reply_channel.send({"accept": True})
        for stream in self.consumers:
            self._call(stream, message, kwargs)

    def disconnect(self, message: Any, **kwargs: Any) -> None:
        """The socket is closed: all consumers hear of it."""
        for stream in self.consumers:
            self._call(stream, message, kwargs)

    def _call(self, stream: str, message: Any, kwargs: Mapping[str, Any]) -> None:
        multiplexer = self.multiplexer_class(stream, self.message.reply_channel)
        _without_send(self.consumers[stream])(message, **{**kwargs, "multiplexer": multiplexer})

    def send(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: nobody would know of which stream it is. Raises: SendNotAvailableOnDemultiplexer."""
        raise SendNotAvailableOnDemultiplexer("send with the argument multiplexer: multiplexer.send(payload)")

    @classmethod
    def group_send(cls, *args: Any, **kwargs: Any) -> None:
        """Refuse, likewise. Raises: SendNotAvailableOnDemultiplexer."""
        raise SendNotAvailableOnDemultiplexer("send with WebsocketMultiplexer.group_send(name, stream, payload)")


@functools.cache
def _without_send(consumer: Callable[..., Any]) -> Callable[..., Any]:
    """Return a consumer; a class with a `send` of its own as one whose `send` is refused."""
    if not inspect.isclass(consumer) or not hasattr(consumer, "send"):
        return consumer
    names = {"send": WebsocketDemultiplexer.send, "__module__": consumer.__module__, "__doc__": consumer.__doc__}
    return type(consumer.__name__, (consumer,), names)
