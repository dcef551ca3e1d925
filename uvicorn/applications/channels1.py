"""What consumers of Channels 1 import beside routes: from here, and they run as they are.

    from channels.generic import BaseConsumer                ->  from uvicorn.channels1 import BaseConsumer
    from channels.handler import AsgiHandler                 ->  from uvicorn.channels1 import AsgiHandler
    from channels.sessions import channel_session            ->  from uvicorn.channels1 import channel_session
    from channels.routing import route, include, route_class ->  from uvicorn import route, include, route_class

Written from the documented shapes of Channels 1; nothing here imports Django.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

from uvicorn.applications.mistakes import Mistaken
from uvicorn.applications.routes import Include
from uvicorn.applications.routing import route_class

__all__ = ["AsgiHandler", "BaseConsumer", "channel_session"]

_F = TypeVar("_F", bound=Callable[..., Any])


def channel_session(consumer: _F) -> _F:
    """Return the consumer as it is: `message.channel_session` is always there.

    It is a dict that lives as long as the connection of a websocket, or the request. It is not shared by workers, and
    needs no saving.
    """
    return consumer


class BaseConsumer:
    """The base of class-based consumers: one method for each channel.

    Attributes:
        method_mapping: channel -> name of the method that gets its messages, and the named groups of the route.
        channel_session: has no effect: every message has one.
        message, kwargs: those of the call.
    """

    method_mapping: ClassVar[Mapping[str, str]] = {}
    channel_session: ClassVar[bool] = False

    def __init__(self, message: Any, **kwargs: Any) -> None:
        self.message = message
        self.kwargs = kwargs

    @classmethod
    def channel_names(cls) -> set[str]:
        """Return the channels that this class has methods for."""
        return set(cls.method_mapping)

    @classmethod
    def as_route(cls, attrs: Mapping[str, Any] | None = None, **patterns: Any) -> Include | Mistaken:
        """Return routes to this class, with some of its attributes changed.

        Args:
            attrs: name -> value.
            patterns: as for `route`.
        """
        changed = type(cls.__name__, (cls,), {"__module__": cls.__module__, **attrs}) if attrs else cls
        return route_class(changed, **patterns)

    def get_handler(self, message: Any, **kwargs: Any) -> Callable[..., Any]:
        """Return the method for a message."""
        handler: Callable[..., Any] = getattr(self, self.method_mapping[message.channel.name])
        return handler

    def dispatch(self, message: Any, **kwargs: Any) -> Any:
        """Call the method for a message."""
        return self.get_handler(message, **kwargs)(message, **kwargs)


class AsgiHandler:
    """`encode_response`, by which consumers sent a Django response."""

    chunk_size = 512 * 1024  # bytes; a larger response is cut

    @classmethod
    def encode_response(cls, response: Any) -> Iterator[dict[str, Any]]:
        """Yield the replies for a Django response, to be given to `message.reply_channel.send` one by one.

        Args:
            response: an HttpResponse, or a streaming one.
        """
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.items()]
        headers += [(b"Set-Cookie", cookie.OutputString().encode("latin-1")) for cookie in response.cookies.values()]
        reply: dict[str, Any] = {"status": response.status_code, "headers": headers}
        if not response.streaming:
            parts = cls.chunk_bytes(response.content)
        else:
            parts = ((piece, False) for part in response for piece, _ in cls.chunk_bytes(part))
        is_last = False
        for content, is_last in parts:
            yield {**reply, "content": content, "more_content": not is_last}
            reply = {}
        if not is_last:
            yield {**reply, "content": b""}
        response.close()

    @classmethod
    def chunk_bytes(cls, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """Yield pieces of at most `chunk_size` bytes, each with whether it is the last one."""
        for start in range(0, len(data) or 1, cls.chunk_size):
            yield data[start : start + cls.chunk_size], start + cls.chunk_size >= len(data)
