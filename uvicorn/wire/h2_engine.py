"""HTTP/2 as its connections see it: what an engine is asked, and what it tells. Sans-IO.

An *engine* knows the frames of one connection: it parses and writes them, keeps HPACK and the states of the streams,
and counts the windows. Nobody else looks at a frame. Two of them have one face: `h2_ngh2.py` (ngh2, which is libnghttp2
in C) and `h2_pure.py` (h2, pure Python). What goes into which order, how much, and what is too much, is decided by who
uses them (`connections/h2_connection.py`).

Content is handed to an engine only as far as `room` says, so that none waits in it.

Spec: RFC 9113; RFC 8441 (extended CONNECT); RFC 9218 (priorities, which engines only pass on).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeAlias

from uvicorn.errors import UvicornError

__all__ = [
    "CANCEL", "ENHANCE_YOUR_CALM", "INTERNAL_ERROR", "NO_ERROR", "PREFACE", "PROTOCOL_ERROR", "REFUSED_STREAM",
    "Engine", "EngineError", "EngineMaker", "EngineOwner", "Pairs", "tell_goaway", "tell_ping", "tell_pong",
    "tell_settings", "tell_trailers", "tell_window",
]  # fmt: skip

#: What a client says first (RFC 9113 section 3.4).
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# Error codes: RFC 9113 section 7.
NO_ERROR: Final = 0x0
PROTOCOL_ERROR: Final = 0x1
INTERNAL_ERROR: Final = 0x2
REFUSED_STREAM: Final = 0x7
CANCEL: Final = 0x8
ENHANCE_YOUR_CALM: Final = 0xB

Pairs: TypeAlias = "Sequence[tuple[bytes, bytes]]"


class EngineError(UvicornError):
    """The client has broken the protocol, or a limit: the connection cannot go on.

    Args:
        code: of RFC 9113 section 7.
        reason: one line for the log.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class EngineOwner(Protocol):
    """What is told of the frames that have come. None of these may raise."""

    def on_request(self, stream_id: int, fields: Pairs, is_ended: bool) -> None:
        """A head is complete."""

    def on_data(self, stream_id: int, data: bytes, is_ended: bool) -> None:
        """Content has come: the window opens again with `Engine.took`."""

    def on_trailers(self, stream_id: int) -> None:
        """The content has ended with trailers."""

    def on_reset(self, stream_id: int, code: int) -> None:
        """The client has reset a stream."""

    def on_broken(self, stream_id: int, code: int) -> None:
        """The engine itself has reset a stream, because the client did something wrong."""

    def on_window(self, stream_id: int) -> None:
        """A window has opened: that of a stream, or of the connection (0), or all of them (-1: SETTINGS)."""

    def on_priority(self, stream_id: int, value: bytes) -> None:
        """A PRIORITY_UPDATE has come (RFC 9218 section 7.1)."""

    def on_notice(self, kind: str) -> None:
        """A frame has come that asks for nothing but work: "settings", "ping" or "priority"."""

    def on_pong(self) -> None:
        """The client has answered a ping."""

    def on_goaway(self, code: int) -> None:
        """The client opens no further stream."""

    def on_end(self, code: int, reason: str) -> None:
        """The engine has ended the connection: what `output` returned is the last thing to write."""


class Engine(Protocol):
    """The frames of one connection. Calls about a stream that is gone do nothing: its end is told by an event."""

    def start(self) -> None:
        """Say our settings."""

    def receive(self, data: bytes | memoryview, owner: EngineOwner) -> int:
        """Take what the client sent, and tell the owner.

        Returns: how many frames were told of.
        Raises: EngineError.
        """

    def output(self, owner: EngineOwner) -> bytes:
        """Return what is to be written now; the owner may be told of streams that ended with it."""

    def room(self, stream_id: int) -> int:
        """Return how many bytes of content the client takes on this stream now."""

    def respond(self, stream_id: int, fields: Pairs, ends: bool) -> None:
        """Send the head of a response."""

    def inform(self, stream_id: int, fields: Pairs) -> None:
        """Send an informational response."""

    def send(self, stream_id: int, data: bytes | memoryview, ends: bool) -> None:
        """Send content, no more than there is room for."""

    def send_trailers(self, stream_id: int, fields: Pairs) -> None:
        """End a response with trailers."""

    def reset(self, stream_id: int, code: int) -> None:
        """Reset a stream."""

    def took(self, stream_id: int, size: int) -> None:
        """Open the window for so many bytes again: they have been taken."""

    def widen(self, stream_id: int, size: int) -> None:
        """Make the window of a stream as large as this."""

    def ping(self) -> None:
        """Ask the client for a sign of life."""

    def announce_end(self) -> None:
        """Send a GOAWAY that refuses no stream yet (RFC 9113 section 6.8)."""

    def end(self) -> None:
        """Send a GOAWAY that refuses every stream but those that have begun."""

    def farewell(self, code: int, reason: bytes) -> bytes:
        """Return the last bytes of a connection that breaks off: a GOAWAY with this code."""


EngineMaker: TypeAlias = Callable[[], Engine]


# ---- the events that all engines have alike ----


def tell_trailers(_: Engine, owner: EngineOwner, event: Any) -> None:
    """The content of a request has ended with trailers."""
    owner.on_trailers(event.stream_id)


def tell_settings(_: Engine, owner: EngineOwner, event: Any) -> None:
    """SETTINGS have come, which may have changed all windows."""
    owner.on_window(-1)
    owner.on_notice("settings")


def tell_ping(_: Engine, owner: EngineOwner, event: Any) -> None:
    """PING has come."""
    owner.on_notice("ping")


def tell_pong(_: Engine, owner: EngineOwner, event: Any) -> None:
    """The answer to our PING has come."""
    owner.on_pong()


def tell_window(_: Engine, owner: EngineOwner, event: Any) -> None:
    """WINDOW_UPDATE has come; h2 has no stream for that of the connection."""
    owner.on_window(event.stream_id or 0)


def tell_goaway(_: Engine, owner: EngineOwner, event: Any) -> None:
    """GOAWAY has come."""
    owner.on_goaway(int(event.error_code))
