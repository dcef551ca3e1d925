"""`BaseConsumer`: a class whose methods are consumers, one for each channel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from uvicorn.channels1.auth import channel_session_user
from uvicorn.channels1.routing import RouteClass
from uvicorn.channels1.session_decorators import channel_session, legacy_message

__all__ = ["BaseConsumer"]


class BaseConsumer:
    """The base of class-based consumers: to make an instance is to call the method for the message.

    Attributes:
        method_mapping: channel -> name of the method that gets its messages, and the named groups of the route.
        channel_session: the methods get `message.channel_session`.
        channel_session_user: they get `message.user`, too.
        message, kwargs: those of the call.
        dispatched: what the method has returned; our addition.
    """

    method_mapping: ClassVar[Mapping[str, str]] = {}
    channel_session: bool = False
    channel_session_user: bool = False

    def __init__(self, message: Any, **kwargs: Any) -> None:
        self.message = message = legacy_message(message)
        self.kwargs = kwargs
        self.dispatched = self.dispatch(message, **kwargs)

    @classmethod
    def channel_names(cls) -> set[str]:
        """Return the channels that this class has methods for."""
        return set(cls.method_mapping)

    @classmethod
    def as_route(cls, attrs: Mapping[str, Any] | None = None, **filters: Any) -> RouteClass:
        """Return a route to this class, with some of its attributes changed.

        Args:
            attrs: name -> value.
            filters: as for `route`.
        """
        changed = type(cls.__name__, (cls,), {"__module__": cls.__module__, **attrs}) if attrs else cls
        return RouteClass(changed, **filters)

    def get_handler(self, message: Any, **kwargs: Any) -> Callable[..., Any]:
        """Return the method for a message, in the decorators that the attributes ask for."""
        handler: Callable[..., Any] = getattr(self, self.method_mapping[message.channel.name])
        if self.channel_session_user:
            return channel_session_user(handler)
        if self.channel_session:
            return channel_session(handler)
        return handler

    def dispatch(self, message: Any, **kwargs: Any) -> Any:
        """Call the method for a message."""
        return self.get_handler(message, **kwargs)(message, **kwargs)
