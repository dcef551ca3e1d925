"""Channels 1, on this server: its public names, in modules with the names that they had.

    from channels.routing import route      is      from uvicorn.channels1.routing import route

With `uvicorn --channels1`, or after `uvicorn.channels1.install()`, both are the same. Written from the documented
behaviour of Channels 1.1.8. Django is imported by those modules that cannot do without: `handler`, `staticfiles`,
`signals`, `binding`, `test`, `apps`.

    routing, entries, calls     routes, what the server makes of them, and one call of a consumer
    message, channel, pending   a message, `Channel` and `Group`, what waits until a consumer has returned
    asgi, backends, memory      the layers of CHANNEL_LAYERS; that of tests
    sessions, ordering, auth    the decorators
    generic, binding            class-based consumers; data binding
    alias                       `import channels`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uvicorn.channels1 import shapes
from uvicorn.channels1.alias import install
from uvicorn.channels1.asgi import channel_layers
from uvicorn.channels1.auth import (
    channel_and_http_session_user_from_http,
    channel_session_user,
    channel_session_user_from_http,
    http_session_user,
)
from uvicorn.channels1.channel import Channel, Group
from uvicorn.channels1.exceptions import (
    ConsumeLater,
    DenyConnection,
    RequestAborted,
    RequestTimeout,
    ResponseLater,
    WebsocketCloseException,
)
from uvicorn.channels1.generic.base import BaseConsumer
from uvicorn.channels1.generic.websockets import (
    JsonWebsocketConsumer,
    WebsocketConsumer,
    WebsocketDemultiplexer,
    WebsocketMultiplexer,
)
from uvicorn.channels1.message import Message
from uvicorn.channels1.names import DEFAULT_CHANNEL_LAYER
from uvicorn.channels1.ordering import enforce_ordering
from uvicorn.channels1.routing import include, route, route_class
from uvicorn.channels1.security.websockets import allowed_hosts_only
from uvicorn.channels1.session_decorators import channel_and_http_session, channel_session, http_session

if TYPE_CHECKING:
    from uvicorn.channels1.handler import AsgiHandler, AsgiRequest, ViewConsumer

__version__ = "1.1.8"  # the version whose interface this is

__all__ = [
    "DEFAULT_CHANNEL_LAYER",
    "AsgiHandler",
    "AsgiRequest",
    "BaseConsumer",
    "Channel",
    "ConsumeLater",
    "DenyConnection",
    "Group",
    "JsonWebsocketConsumer",
    "Message",
    "RequestAborted",
    "RequestTimeout",
    "ResponseLater",
    "ViewConsumer",
    "WebsocketCloseException",
    "WebsocketConsumer",
    "WebsocketDemultiplexer",
    "WebsocketMultiplexer",
    "allowed_hosts_only",
    "channel_and_http_session",
    "channel_and_http_session_user_from_http",
    "channel_layers",
    "channel_session",
    "channel_session_user",
    "channel_session_user_from_http",
    "enforce_ordering",
    "http_session",
    "http_session_user",
    "include",
    "install",
    "route",
    "route_class",
]

_OF_DJANGO: Final = ("AsgiHandler", "AsgiRequest", "ViewConsumer")

shapes.teach()


def __getattr__(name: str) -> Any:
    """Import what needs Django when it is asked for."""
    if name in _OF_DJANGO:
        from uvicorn.channels1 import handler

        return getattr(handler, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
