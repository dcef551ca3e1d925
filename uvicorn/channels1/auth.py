"""Users for consumers: `message.user`, from the session of the socket or from that of the browser."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeVar

from uvicorn.channels1.session_decorators import channel_and_http_session, channel_session, http_session, message_of

__all__ = [
    "channel_and_http_session_user_from_http",
    "channel_session",
    "channel_session_user",
    "channel_session_user_from_http",
    "http_session_user",
    "transfer_user",
]

_F = TypeVar("_F", bound=Callable[..., Any])


def transfer_user(from_session: Any, to_session: Any) -> None:
    """Write who is logged in from one session into another."""
    from django.contrib import auth

    keys = auth.BACKEND_SESSION_KEY, auth.SESSION_KEY, auth.HASH_SESSION_KEY
    if all(key in from_session for key in keys):
        for key in keys:
            to_session[key] = from_session[key]


def channel_session_user(consumer: _F) -> _F:
    """Give a consumer `message.user`, of the session of the socket, and `channel_session`."""
    return channel_session(_with_user(consumer, "channel_session"))


def http_session_user(consumer: _F) -> _F:
    """Give a consumer `message.user`, of the session of the browser, and `http_session`."""
    return http_session(_with_user(consumer, "http_session"))


def channel_session_user_from_http(consumer: _F) -> _F:
    """Give the consumer of a websocket.connect `message.user`, and write that into the session of the socket."""
    return http_session_user(channel_session(_transferring(consumer)))


def channel_and_http_session_user_from_http(consumer: _F) -> _F:
    """As `channel_session_user_from_http`; and all messages of the socket have `http_session`."""
    return http_session_user(channel_and_http_session(_transferring(consumer)))


def _with_user(consumer: _F, attribute: str) -> _F:
    @functools.wraps(consumer)
    def with_user(*args: Any, **kwargs: Any) -> Any:
        from django.contrib import auth
        from django.contrib.auth.models import AnonymousUser

        message, args = message_of(attribute, args)
        session = getattr(message, attribute)
        # Django asks a request for its session, and for nothing else.
        message.user = AnonymousUser() if session is None else auth.get_user(SimpleNamespace(session=session))
        return consumer(*args, **kwargs)

    return with_user  # type: ignore[return-value]  # it takes what the consumer takes


def _transferring(consumer: _F) -> _F:
    @functools.wraps(consumer)
    def transferring(*args: Any, **kwargs: Any) -> Any:
        message, args = message_of("channel_session_user_from_http", args)
        if message.http_session is not None:
            transfer_user(message.http_session, message.channel_session)
        return consumer(*args, **kwargs)

    return transferring  # type: ignore[return-value]  # it takes what the consumer takes
