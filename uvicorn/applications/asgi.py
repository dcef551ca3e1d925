"""An ASGI application as an asynchronous consumer.

The way of one call, all of it in the request's task on the loop:

    message -> scope
    application(scope, receive, send)
    http.response.start is kept until the first http.response.body
    each body -> reply_channel.send

It is called when the head is there; `receive` gives the body as it comes. What came in one read with the head is one
event. After the body comes `http.disconnect`: when the client has left, or the response is complete. After a client has
left, `send` raises ChannelClosed, which is an OSError, as the specification asks from version 2.4 on.

For an application that returns without a complete response the lifetime rule (docs/architecture.md) holds: 500.

Spec: ASGI 3, HTTP version 2.5 (asgi.readthedocs.io, "HTTP & WebSocket ASGI Message Format").
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final

from uvicorn.applications.asgi_call import HTTPCall
from uvicorn.applications.asgi_scope import make_scope
from uvicorn.bridge.consumer import is_async_callable, name_of
from uvicorn.bridge.work import current_work
from uvicorn.errors import ConsumerError

__all__ = ["ASGIApplication"]


class ASGIApplication:
    """A consumer that calls an ASGI application for each message.

    Args:
        version: 3, or 2 for a callable of a scope that returns a callable of receive and send.

    Attributes:
        state: what the application has put into its lifespan state; each request gets a shallow copy.
        threads: what its framework's calls run in (`FrameworkThreads`), or None if that keeps its own.
        enters: None, or makes an asynchronous context manager in which each call is made.
        enters_socket: likewise for each socket.

    Raises: ConsumerError if it cannot be called so.
    """

    begins_early: Final = True  # it may answer before the body is there, or while it comes

    def __init__(self, application: Callable[..., Any], version: int = 3) -> None:
        name = name_of(application)
        if not callable(application):
            raise ConsumerError(f"{name} is not callable; an ASGI application is called with scope, receive and send")
        count, arguments = (1, "one argument") if version == 2 else (3, "three arguments")
        try:
            inspect.signature(application, follow_wrapped=False).bind(*[None] * count)
        except TypeError:
            raise ConsumerError(
                f"{name} cannot be called with {arguments}; an ASGI {version} application takes "
                f"{'scope' if version == 2 else 'scope, receive and send'}"
            ) from None
        except ValueError:
            pass  # some builtins have no signature
        self.call: Callable[..., Awaitable[None]] = _as_single(application) if version == 2 else application
        self.application = application
        self.state: dict[str, Any] = {}
        self.threads: Any = None
        self.enters: Callable[[], Any] | None = None
        self.enters_socket: Callable[[], Any] | None = None
        self.__module__, _, self.__qualname__ = name.rpartition(".")  # how logs call it

    async def __call__(self, message: Any, **_: Any) -> None:
        """Serve one request; named groups of its route are not used."""
        scope = make_scope(message, self.state)
        call = HTTPCall(message, self.threads)
        if self.threads is not None:
            current_work.set(call)
        try:
            if self.enters is None:
                await self.call(scope, call.receive, call.send)
                return
            async with self.enters():
                await self.call(scope, call.receive, call.send)
        except Exception:
            if not call.refuse():
                call.end()
                raise
        except BaseException:
            call.end()
            raise
        finally:
            call.leave()


def _as_single(application: Callable[..., Any]) -> Callable[..., Awaitable[None]]:
    """Make one callable of an ASGI 2 application."""
    inner_is_async = is_async_callable(application)
    if inner_is_async:
        raise ConsumerError(f"{name_of(application)} is asynchronous, and an ASGI 2 application returns a callable")

    async def call(scope: Any, receive: Any, send: Any) -> None:
        await application(scope)(receive, send)

    return call
