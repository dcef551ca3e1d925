"""What a message is: `Message`, and the pure functions around it.

The keys of an `http.request` (ASGI draft, "Request", django/channels cd34f65):

    channel          str            "http.request"
    reply_channel    ReplyChannel   where the response goes
    http_version     str            "1.0" or "1.1"
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
"""

from __future__ import annotations

from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

__all__ = [
    "Channel",
    "Headers",
    "Message",
    "http_disconnect",
    "split_absolute_target",
    "split_target",
]

Headers: TypeAlias = "list[list[bytes]]"

_SLASH = 0x2F


class Channel:
    """Name a channel, in the shape that consumers written for Channels 1 expect.

    Attributes:
        name: for example "http.request".
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<Channel {self.name}>"


class Message(dict[str, Any]):
    """Carry one event to a consumer: a dict, with the attributes that Channels 1 gave it.

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
        """Where replies go: the same object as `message["reply_channel"]`."""
        return self["reply_channel"]

    @property
    def channel_session(self) -> Any:
        """What lives as long as the connection: the same object as `message["channel_session"]`."""
        return self["channel_session"]


def http_disconnect(path: str) -> Message:
    """Build an `http.disconnect` (ASGI draft, "Disconnect"), without its reply channel."""
    return Message(channel="http.disconnect", path=path)


def split_target(target: bytes) -> tuple[str, bytes, bytes]:
    """Split a request target in origin-form or asterisk-form.

    Returns: the decoded path, the path as received, and the query string.
    Spec: RFC 9112 section 3.2; ASGI draft, "Request", key `path`.
    """
    raw_path, _, query = target.partition(b"?")
    path = unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path
    return path.decode("utf-8", "surrogateescape"), raw_path, query


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
