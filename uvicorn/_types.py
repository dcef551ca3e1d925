"""Types of ASGI, by the names under which other packages import them."""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

Environ: TypeAlias = MutableMapping[str, Any]
ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, types.TracebackType | None]
StartResponse: TypeAlias = Callable[[str, Iterable[tuple[str, str]], ExcInfo | None], None]
WSGIApp: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes] | BaseException]

# Events and scopes are dicts; which keys they have says the specification of ASGI.
Scope: TypeAlias = MutableMapping[str, Any]
WWWScope: TypeAlias = Scope
HTTPScope: TypeAlias = Scope
WebSocketScope: TypeAlias = Scope
LifespanScope: TypeAlias = Scope
ASGIReceiveEvent: TypeAlias = MutableMapping[str, Any]
ASGISendEvent: TypeAlias = MutableMapping[str, Any]
HTTPRequestEvent: TypeAlias = ASGIReceiveEvent
HTTPDisconnectEvent: TypeAlias = ASGIReceiveEvent
WebSocketConnectEvent: TypeAlias = ASGIReceiveEvent
WebSocketReceiveEvent: TypeAlias = ASGIReceiveEvent
WebSocketDisconnectEvent: TypeAlias = ASGIReceiveEvent
LifespanStartupEvent: TypeAlias = ASGIReceiveEvent
LifespanShutdownEvent: TypeAlias = ASGIReceiveEvent
HTTPResponseStartEvent: TypeAlias = ASGISendEvent
HTTPResponseBodyEvent: TypeAlias = ASGISendEvent
HTTPResponseTrailersEvent: TypeAlias = ASGISendEvent
HTTPResponseDebugEvent: TypeAlias = ASGISendEvent
HTTPResponseEarlyHintEvent: TypeAlias = ASGISendEvent
HTTPServerPushEvent: TypeAlias = ASGISendEvent
WebSocketAcceptEvent: TypeAlias = ASGISendEvent
WebSocketSendEvent: TypeAlias = ASGISendEvent
WebSocketCloseEvent: TypeAlias = ASGISendEvent
WebSocketResponseStartEvent: TypeAlias = ASGISendEvent
WebSocketResponseBodyEvent: TypeAlias = ASGISendEvent
LifespanStartupCompleteEvent: TypeAlias = ASGISendEvent
LifespanStartupFailedEvent: TypeAlias = ASGISendEvent
LifespanShutdownCompleteEvent: TypeAlias = ASGISendEvent
LifespanShutdownFailedEvent: TypeAlias = ASGISendEvent
WebSocketEvent: TypeAlias = ASGIReceiveEvent | ASGISendEvent
ASGIVersions: TypeAlias = MutableMapping[str, Any]

ASGIReceiveCallable: TypeAlias = Callable[[], Awaitable[ASGIReceiveEvent]]
ASGISendCallable: TypeAlias = Callable[[ASGISendEvent], Awaitable[None]]
ASGI2Protocol: TypeAlias = Callable[[ASGIReceiveCallable, ASGISendCallable], Awaitable[None]]
ASGI2Application: TypeAlias = Callable[[Scope], ASGI2Protocol]
ASGI3Application: TypeAlias = Callable[[Scope, ASGIReceiveCallable, ASGISendCallable], Awaitable[None]]
ASGIApplication: TypeAlias = ASGI2Application | ASGI3Application
