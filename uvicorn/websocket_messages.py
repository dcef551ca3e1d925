"""The messages of a WebSocket: pure functions that build them.

All have these keys (ASGI draft, "WebSocket", django/channels cd34f65):

    channel          str            "websocket.connect", "websocket.receive" or "websocket.disconnect"
    reply_channel    SocketChannel  where frames go; the same object as long as the socket lives
    path             str            as in `http.request`
    order            int            0 for connect, then counting: one call at a time comes in this order
    channel_session  dict           lives as long as the socket

`websocket.connect` has `scheme` ("ws" or "wss"), `http_version`, `raw_path`, `query_string`, `root_path`, `headers`,
`client` and `server` too, as in `http.request`, and `subprotocols`, a list of str in the client's order.
`websocket.receive` has `text` (str) and `bytes`, one of them None. `websocket.disconnect` has `code`, an int, and
`reason` (str; our addition).
"""

from __future__ import annotations

from typing import Any, Final

from uvicorn.messages import Message

__all__ = ["websocket_connect", "websocket_disconnect", "websocket_receive"]

_SCHEMES: Final = {"http": "ws", "https": "wss"}
_COMMON: Final = ("path", "http_version", "raw_path", "query_string", "root_path", "headers", "client", "server")


def websocket_connect(request: Message, subprotocols: list[str]) -> Message:
    """Build a `websocket.connect` from the `http.request` that asks for a socket, without its reply channel.

    Spec: ASGI draft, "Connection".
    """
    message = Message(
        channel="websocket.connect",
        reply_channel=None,
        order=0,
        scheme=_SCHEMES[request["scheme"]],
        subprotocols=subprotocols,
        channel_session=request["channel_session"],
    )
    for key in _COMMON:
        message[key] = request[key]
    return message


def websocket_receive(reply_channel: Any, path: str, session: dict[str, Any]) -> dict[str, Any]:
    """Build what every `websocket.receive` of one socket begins as: `order`, and `text` or `bytes`, are to be set.

    To copy a dict is cheaper than to build it.

    Spec: ASGI draft, "Receive".
    """
    return {
        "channel": "websocket.receive",
        "reply_channel": reply_channel,
        "path": path,
        "order": 0,
        "channel_session": session,
        "text": None,
        "bytes": None,
    }


def websocket_disconnect(
    reply_channel: Any, path: str, order: int, session: dict[str, Any], code: int, reason: str
) -> Message:
    """Build a `websocket.disconnect`.

    Args:
        code: the close code: the client's if it sent one (1005 for an empty close), else ours, else 1006.
        reason: that of the same close frame; "" if there is none.

    Spec: ASGI draft, "Disconnection"; RFC 6455 section 7.4.1.
    """
    return Message({
        "channel": "websocket.disconnect",
        "reply_channel": reply_channel,
        "path": path,
        "order": order,
        "channel_session": session,
        "code": code,
        "reason": reason,
    })  # fmt: skip
