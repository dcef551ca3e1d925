"""Sessions for consumers: one of the socket, and that of the browser.

`channel_session` is a session of Django's, whose key is made of the reply channel's name: every consumer of a socket,
in every process, finds the same one. Without a store of sessions it is a dict in memory, which lives as long as the
socket or the request.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

from uvicorn.bridge.consumer import is_async_callable, name_of
from uvicorn.channels1.exceptions import ConsumeLater
from uvicorn.channels1.message import Message
from uvicorn.channels1.used_django import has_sessions
from uvicorn.errors import ConsumerError
from uvicorn.messages import Message as ServedMessage

__all__ = [
    "channel_and_http_session",
    "channel_session",
    "check_synchronous",
    "http_session",
    "legacy_message",
    "message_of",
    "session_for_reply_channel",
]

_F = TypeVar("_F", bound=Callable[..., Any])


def session_for_reply_channel(reply_channel: str) -> Any:
    """Return the session of a reply channel.

    Args:
        reply_channel: its name.

    Raises: ValueError if Django keeps sessions in cookies: a socket has none to write.
    """
    from django.conf import settings

    name = getattr(settings, "CHANNEL_SESSION_ENGINE", settings.SESSION_ENGINE)
    if name == "django.contrib.sessions.backends.signed_cookies":
        raise ValueError("channel_session cannot be kept in cookies: set CHANNEL_SESSION_ENGINE to another engine")
    key = "chn" + hashlib.sha1(reply_channel.encode(), usedforsecurity=False).hexdigest()[:29]
    session = import_module(name).SessionStore(session_key=key)
    session.get("")  # loads it; one that is not there would get another key
    session._session_key = key
    return session


def channel_session(consumer: _F) -> _F:
    """Give a consumer `message.channel_session`, which all consumers of the same reply channel share.

    It is saved when the consumer has returned or raised, if it was changed.

    Raises: ConsumerError for an asynchronous consumer; on the call, ValueError for a message without a reply channel.
    """
    check_synchronous("channel_session", consumer)

    @functools.wraps(consumer)
    def with_session(*args: Any, **kwargs: Any) -> Any:
        message, args = message_of("channel_session", args)
        if hasattr(message, "channel_session"):  # another decorator was here
            try:
                return consumer(*args, **kwargs)
            finally:
                _save(message.channel_session)
        if message.reply_channel is None:
            raise ValueError("channel_session is for messages that have a reply_channel")
        if message.memory_session is not None and not has_sessions():
            message.channel_session = message.memory_session
            return consumer(*args, **kwargs)
        session = session_for_reply_channel(message.reply_channel.name)
        if not session.exists(session.session_key):
            _create(session)
        message.channel_session = session
        try:
            return consumer(*args, **kwargs)
        finally:
            if session.modified and not session.is_empty():
                session.save()

    return with_session  # type: ignore[return-value]  # it takes what the consumer takes


def http_session(consumer: _F) -> _F:
    """Give a consumer `message.http_session`: the session of the browser, or None.

    Its key is in the session cookie, or in `?session_key=`. No session is begun: that is for views. It is saved when
    the consumer has returned, if it was changed.

    Raises: ConsumerError for an asynchronous consumer; on the call, ValueError for a message without a path.
    """
    check_synchronous("http_session", consumer)

    @functools.wraps(consumer)
    def with_session(*args: Any, **kwargs: Any) -> Any:
        message, args = message_of("http_session", args)
        if not hasattr(message, "http_session"):
            message.http_session = _session_of_browser(message)
        result = consumer(*args, **kwargs)
        _save(message.http_session)
        return result

    return with_session  # type: ignore[return-value]  # it takes what the consumer takes


def channel_and_http_session(consumer: _F) -> _F:
    """Give a consumer both; the browser's, which only websocket.connect tells of, for all messages of the socket."""

    @http_session
    @channel_session
    @functools.wraps(consumer)
    def with_sessions(*args: Any, **kwargs: Any) -> Any:
        from django.conf import settings

        message, args = message_of("channel_and_http_session", args)
        kept, name = message.channel_session, settings.SESSION_COOKIE_NAME
        if message.http_session is not None:
            if name not in kept:
                kept[name] = message.http_session.session_key
        elif name in kept:
            message.http_session = _browser_session(kept[name])
        return consumer(*args, **kwargs)

    return with_sessions  # type: ignore[return-value]  # it takes what the consumer takes


def message_of(what: str, args: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """Return the message among the arguments of a consumer, or of a method, and the arguments with it.

    A message of the server, from a route of `uvicorn.route`, is made one of Channels 1.

    Raises: ValueError if there is none.
    """
    for at, value in enumerate(args[:2]):
        message = legacy_message(value)
        if isinstance(message, Message):
            return message, (*args[:at], message, *args[at + 1 :])
    raise ValueError(f"{what} is for consumers: it was called without a message")


def legacy_message(message: Any) -> Any:
    """Return a message of Channels 1 for one of the server; anything else as it is."""
    return Message.received(message) if isinstance(message, ServedMessage) else message


def check_synchronous(what: str, consumer: Callable[..., Any]) -> None:
    """Refuse a coroutine function. Raises: ConsumerError."""
    if is_async_callable(consumer):
        raise ConsumerError(
            f"{what} is for plain functions, and {name_of(consumer)} is asynchronous: write it with def, or read what "
            "you need with Django's own sessions"
        )


def _create(session: Any) -> None:
    """Save a session, so that its key is valid. Raises: ConsumeLater if another consumer was faster."""
    from django.contrib.sessions.backends.base import CreateError

    try:
        session.save(must_create=True)
    except CreateError:
        raise ConsumeLater from None


def _session_of_browser(message: Any) -> Any:
    from django.conf import settings

    from uvicorn.channels1.handler import AsgiRequest

    try:
        request = AsgiRequest(message)
    except Exception as error:
        raise ValueError(f"http_session is for messages of a browser, and this is none: {error}") from error
    key = request.GET.get("session_key") or request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    return _browser_session(key) if key else None


def _browser_session(key: str) -> Any:
    from django.conf import settings

    return import_module(settings.SESSION_ENGINE).SessionStore(session_key=key)


def _save(session: Any) -> None:
    if getattr(session, "modified", False):
        session.save()
