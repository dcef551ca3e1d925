"""Messages as bytes: msgpack, with bytes, text, numbers and nested lists and dicts intact. Never pickle.

A tuple becomes a list, but as the key of a dict it stays one. What has a name and sends, a reply channel, becomes its
name: whoever gets it replies by that.

The message of a channel that a request has sent, where requests have ids, is in an envelope: a list of the content and
the id. So layers carry both as they carry the content.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from uvicorn.errors import ChannelLayerUnavailable
from uvicorn.layers.names import MOST_CHARACTERS

__all__ = ["HOW_MSGPACK", "MOST_BYTES", "RequestContent", "pack", "unpack", "unpack_message"]

HOW_MSGPACK: Final = "pip install msgpack"

MOST_BYTES: Final = 64 * 1024 * 1024  # of one message; arbitrary: Redis takes 512 MiB, and browsers far less


class RequestContent(dict[str, Any]):
    """The content of a message of a channel that a request has sent.

    Attributes:
        request_id: the request's.
    """

    __slots__ = ("request_id",)

    def __init__(self, content: Mapping[str, Any], request_id: str) -> None:
        super().__init__(content)
        self.request_id = request_id


def pack(value: Any) -> bytes:
    """Encode a message.

    Raises: TypeError for what has no form as bytes, ValueError for what is too large or nested too deep;
        ChannelLayerUnavailable if msgpack is not installed.
    """
    try:
        import msgpack
    except ImportError:
        raise ChannelLayerUnavailable(f"messages cannot be encoded: msgpack is not installed. {HOW_MSGPACK}") from None

    if type(value) is RequestContent:
        value = [value, value.request_id]
    try:
        data: bytes = msgpack.packb(value, default=_named, unicode_errors="surrogatepass")
    except TypeError:
        raise
    except (ValueError, OverflowError, RecursionError, UnicodeEncodeError) as error:
        raise ValueError(f"the message cannot be encoded: {error}") from None
    if len(data) > MOST_BYTES:
        raise ValueError(f"a message can have {MOST_BYTES} bytes at most, and this one has {len(data)}")
    return data


def unpack(data: bytes | memoryview) -> Any:
    """Decode a message.

    Raises: ValueError for what is none.
    """
    import msgpack

    try:
        try:
            return msgpack.unpackb(data, strict_map_key=False, unicode_errors="surrogatepass")
        except TypeError:  # a list as a key: whoever sent it had a tuple. So rare that others do not pay for it
            return msgpack.unpackb(
                data, strict_map_key=False, unicode_errors="surrogatepass", object_pairs_hook=_with_tuples
            )
    except Exception as error:
        raise ValueError(f"no message: {type(error).__name__}: {error}") from None


def unpack_message(data: bytes | memoryview) -> Any:
    """Decode the message of a channel: its content, a `RequestContent` if a request has sent it.

    Raises: ValueError for what is none.
    """
    value = unpack(data)
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], dict) and isinstance(value[1], str):
        return RequestContent(*value)
    return value


def _with_tuples(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """Return a dict of what msgpack has found; keys that are lists become tuples."""
    return {_as_key(key): value for key, value in pairs}


def _as_key(value: Any) -> Any:
    return tuple(map(_as_key, value)) if isinstance(value, list) else value


def _named(value: Any) -> Any:
    name = getattr(value, "name", None)
    if isinstance(name, str) and len(name) <= MOST_CHARACTERS and callable(getattr(value, "send", None)):
        return name
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f"a message can have text, bytes, numbers, lists and dicts, not {type(value).__name__}")
