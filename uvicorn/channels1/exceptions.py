"""The exceptions of Channels 1: a consumer raises them to say what shall become of its message.

`calls.py` does what they ask for. Those about request bodies have no cause on this server, which calls a consumer when
the body is there; they come from `AsgiRequest` for messages that a test has made.
"""

from __future__ import annotations

from typing import Any

from uvicorn.errors import ConsumeLater, DenyConnection, UvicornError

__all__ = [
    "ChannelSocketException",
    "ConsumeLater",
    "DenyConnection",
    "RequestAborted",
    "RequestTimeout",
    "ResponseLater",
    "SendNotAvailableOnDemultiplexer",
    "WebsocketCloseException",
]


class ResponseLater(UvicornError):
    """A view leaves its response to another consumer, which knows the reply channel's name."""


class RequestTimeout(UvicornError):
    """The body of a request came too slowly."""


class RequestAborted(UvicornError):
    """The client left before the body of its request was complete."""


class ChannelSocketException(UvicornError):
    """What a consumer raises to have something done about its socket: `run` says what."""

    def run(self, message: Any) -> None:
        """Do it. Called when the consumer has raised."""
        raise NotImplementedError(f"{type(self).__name__} must have a method run(message)")


class WebsocketCloseException(ChannelSocketException):
    """The socket is closed.

    Args:
        code: the close code, 1000 or 3000 to 4999; None for 1000.

    Raises: ValueError for another code.
    """

    def __init__(self, code: int | None = None) -> None:
        if code is not None and code != 1000 and not (isinstance(code, int) and 3000 <= code <= 4999):
            raise ValueError(f"a socket cannot be closed with {code!r}: use 1000, or 3000 to 4999")
        super().__init__(code)
        self._code = code

    def run(self, message: Any) -> None:
        """Close it. Raises: ValueError if the message is not one of a socket."""
        if not message.reply_channel or message.reply_channel.name.partition(".")[0] != "websocket":
            raise ValueError("WebsocketCloseException is for consumers of a websocket only")
        message.reply_channel.send({"close": self._code or True})


class SendNotAvailableOnDemultiplexer(UvicornError):
    """A consumer behind a WebsocketDemultiplexer used its own `send`: `multiplexer.send` says which stream it is."""
