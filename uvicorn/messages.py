"""What a message is: `Message`, and the pure functions around it.

The keys of an `http.request` (ASGI draft, "Request", django/channels cd34f65):

    channel          str            "http.request"
    reply_channel    ReplyChannel   where the response goes
    http_version     str            "1.0", "1.1" or "2"
    method           str            upper case
    scheme           str            "http" or "https"
    path             str            percent-decoded; UTF-8, undecodable bytes as surrogateescape
    raw_path         bytes          as received, without the query
    query_string     bytes          what follows "?", not decoded
    root_path        str            the mount point, "" by default
    headers          list           of [name, value], both bytes, names lower-cased,
                                    order and duplicates kept
    body             bytes          the whole body, or its beginning if `body_channel` is set
    body_channel     BodyChannel    the rest of a body too large to wait for, or None
    client, server   [str, int]     the peer's address and ours, or None (unix sockets)
    channel_session  dict           lives as long as the request
    request_id       str            the request's id, or None if there are none (`--request-id`; our addition)

The messages of a WebSocket have these keys (ASGI draft, "WebSocket", django/channels cd34f65):

    channel          str            "websocket.connect", "websocket.receive" or "websocket.disconnect"
    reply_channel    SocketChannel  where frames go; the same object as long as the socket lives
    path             str            as in `http.request`
    order            int            0 for connect, then counting: one call at a time comes in this order
    channel_session  dict           lives as long as the socket
    request_id       str            that of the request that asked for the socket, or None

`websocket.connect` has `scheme` ("ws" or "wss"), `http_version`, `raw_path`, `query_string`, `root_path`, `headers`,
`client` and `server` too, as in `http.request`, and `subprotocols`, a list of str in the client's order.
`websocket.gap` has `missed`, an int, or None for an unknown number; it comes only to a consumer that is routed to it.
`websocket.receive` has `text` (str) and `bytes`, one of them None. `websocket.disconnect` has `code`, an int, and
`reason` (str; our addition).

A message of any other channel has `channel` and what was sent, `message_id`, `reply_channel` if the sender gave one,
and `request_id` if a request that has an id has sent it.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

__all__ = [
    "Channel",
    "Headers",
    "Message",
    "http_disconnect",
    "split_absolute_target",
    "websocket_connect",
    "websocket_disconnect",
    "websocket_gap",
    "websocket_receive",
]

Headers: TypeAlias = "list[list[bytes]]"

_SLASH: Final = 0x2F
_SCHEMES: Final = {"http": "ws", "https": "wss"}
_COMMON: Final = (
    "path", "http_version", "raw_path", "query_string", "root_path", "headers", "client", "server", "request_id",
)  # fmt: skip


class Channel:
    """The name of a channel, in the shape that consumers written for Channels 1 expect.

    Attributes:
        name: for example "http.request".
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<Channel {self.name}>"


class Message(dict[str, Any]):
    """One event for a consumer: a dict, with the attributes that Channels 1 gave it.

    Item access and attribute access give the same objects.
    """

    __slots__ = ()

    @property
    def content(self) -> Message:
        """The message's keys and values: the dict itself."""
        return self

    @property
    def channel(self) -> Channel:
        """The channel that the message came from."""
        return Channel(self["channel"])

    @property
    def reply_channel(self) -> Any:
        """Where replies go: the same object as `message["reply_channel"]`; None if there is none."""
        return self.get("reply_channel")

    @property
    def channel_session(self) -> Any:
        """What lives as long as the connection: the same object as `message["channel_session"]`."""
        return self["channel_session"]


def http_disconnect(path: str) -> Message:
    """Build an `http.disconnect` (ASGI draft, "Disconnect"), without its reply channel."""
    return Message(channel="http.disconnect", path=path)


def split_absolute_target(target: bytes) -> tuple[bytes, bytes]:
    """Split a request target in absolute-form into its authority and its origin-form.

    Raises: ValueError if it is not in absolute-form.
    Spec: RFC 9112 section 3.2.2.
    """
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        raise ValueError(target)
    end = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
    authority, origin = rest[:end], rest[end:]
    if not authority:
        raise ValueError(target)
    if not origin or origin[0] != _SLASH:
        origin = b"/" + origin
    return authority, origin


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


def websocket_receive(
    reply_channel: Any, path: str, session: dict[str, Any], request_id: str | None = None
) -> dict[str, Any]:
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
        "request_id": request_id,
        "text": None,
        "bytes": None,
    }


def websocket_gap(
    reply_channel: Any,
    path: str,
    order: int,
    session: dict[str, Any],
    missed: int | None,
    request_id: str | None = None,
) -> Message:
    """Build a `websocket.gap`: messages of groups that this socket did not get (our addition).

    Args:
        missed: how many; None for an unknown number.
    """
    return Message(
        {
            "channel": "websocket.gap",
            "reply_channel": reply_channel,
            "path": path,
            "order": order,
            "channel_session": session,
            "request_id": request_id,
            "missed": missed,
        }
    )


def websocket_disconnect(
    reply_channel: Any,
    path: str,
    order: int,
    session: dict[str, Any],
    code: int,
    reason: str,
    request_id: str | None = None,
) -> Message:
    """Build a `websocket.disconnect`.

    Args:
        code: the close code: the client's if it sent one (1005 for an empty close), else ours, else 1006.
        reason: that of the same close frame; "" if there is none.

    Spec: ASGI draft, "Disconnection"; RFC 6455 section 7.4.1.
    """
    return Message(
        {
            "channel": "websocket.disconnect",
            "reply_channel": reply_channel,
            "path": path,
            "order": order,
            "channel_session": session,
            "request_id": request_id,
            "code": code,
            "reason": reason,
        }
    )
