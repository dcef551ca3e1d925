"""The engine that is h2, in pure Python: slow, and wherever Python is. Sans-IO. The only file that knows it.

h2 knows no first GOAWAY that refuses nothing, and takes one that it has sent for the end: both are written here with
hyperframe, which it is built upon. Most mistakes of a client that concern one stream end the connection with h2.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import h2
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import DenialOfServiceError, H2Error, ProtocolError
from h2.settings import Settings
from hyperframe.frame import GoAwayFrame

from uvicorn.wire.h2_engine import (
    ENHANCE_YOUR_CALM,
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    EngineError,
    EngineOwner,
    Pairs,
    tell_goaway,
    tell_ping,
    tell_pong,
    tell_settings,
    tell_trailers,
    tell_window,
)
from uvicorn.wire.limits import Http2Limits

__all__ = ["PureEngine", "make_maker"]

_LARGEST: Final = 2**31 - 1  # window, or stream
_PRIORITY_UPDATE: Final = 0x10  # the type of the frame: RFC 9218 section 7.1
_CONFIG: Final = H2Configuration(
    client_side=False,
    header_encoding=None,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
    normalize_inbound_headers=False,
)


def make_maker(limits: Http2Limits) -> tuple[Callable[[], PureEngine], str]:
    """Return what makes engines, and its name."""
    return lambda: PureEngine(limits), f"h2 {h2.__version__} (pure Python)"


class PureEngine:
    """One connection of h2."""

    __slots__ = ("_connection", "_initial", "_last", "_more", "_window")

    def __init__(self, limits: Http2Limits) -> None:
        connection = self._connection = H2Connection(_CONFIG)
        settings: dict[Any, int] = dict(limits.settings())
        connection.local_settings = Settings(client=False, initial_values=settings)
        connection.decoder.max_header_list_size = limits.header_list_size
        self._window = limits.connection_window
        self._initial = limits.window_size
        self._more = b""  # what is to be written beside what h2 writes
        self._last = _LARGEST  # the last stream that is served

    def start(self) -> None:
        """Say our settings."""
        connection = self._connection
        connection.initiate_connection()
        grows = self._window - connection.inbound_flow_control_window
        if grows > 0:
            connection.increment_flow_control_window(grows)

    def receive(self, data: bytes | memoryview, owner: EngineOwner) -> int:
        """Take what the client sent, and tell the owner.

        Raises: EngineError.
        """
        try:
            found = self._connection.receive_data(bytes(data))
        except DenialOfServiceError as error:
            raise EngineError(ENHANCE_YOUR_CALM, str(error)) from None
        except ProtocolError as error:
            raise EngineError(int(error.error_code), str(error) or type(error).__name__) from None
        except (H2Error, ValueError, KeyError, IndexError) as error:  # what it lets through of odd frames
            raise EngineError(PROTOCOL_ERROR, f"{type(error).__name__}: {error}") from None
        for event in found:
            tell = _TELL.get(type(event))
            if tell is not None:
                tell(self, owner, event)
        return len(found)

    def output(self, owner: EngineOwner) -> bytes:
        """Return what is to be written now."""
        data = self._connection.data_to_send()
        if self._more:
            data += self._more
            self._more = b""
        return data

    def room(self, stream_id: int) -> int:
        """Return how many bytes of content the client takes on this stream now."""
        try:
            return self._connection.local_flow_control_window(stream_id)
        except H2Error:
            return 0

    def respond(self, stream_id: int, fields: Pairs, ends: bool) -> None:
        """Send the head of a response."""
        with suppress(H2Error):
            self._connection.send_headers(stream_id, fields, end_stream=ends)

    def inform(self, stream_id: int, fields: Pairs) -> None:
        """Send an informational response."""
        with suppress(H2Error):
            self._connection.send_headers(stream_id, fields)

    def send(self, stream_id: int, data: bytes | memoryview, ends: bool) -> None:
        """Send content."""
        connection = self._connection
        most = connection.max_outbound_frame_size
        with suppress(H2Error):
            for at in range(0, len(data) or 1, most):
                connection.send_data(stream_id, bytes(data[at : at + most]), end_stream=ends and at + most >= len(data))

    def send_trailers(self, stream_id: int, fields: Pairs) -> None:
        """End a response with trailers."""
        with suppress(H2Error):
            self._connection.send_headers(stream_id, fields, end_stream=True)

    def reset(self, stream_id: int, code: int) -> None:
        """Reset a stream."""
        with suppress(H2Error):
            self._connection.reset_stream(stream_id, code)

    def took(self, stream_id: int, size: int) -> None:
        """Open the window for so many bytes again."""
        with suppress(H2Error):
            self._connection.acknowledge_received_data(size, stream_id)

    def widen(self, stream_id: int, size: int) -> None:
        """Make the window of a stream as large as this."""
        grows = size - self._initial
        if grows > 0:
            with suppress(H2Error):
                self._connection.increment_flow_control_window(grows, stream_id)

    def ping(self) -> None:
        """Ask the client for a sign of life."""
        with suppress(H2Error):
            self._connection.ping(bytes(8))

    def announce_end(self) -> None:
        """Send a GOAWAY that refuses no stream yet."""
        self._more += _goaway_frame(_LARGEST)

    def end(self) -> None:
        """Send a GOAWAY that refuses every stream but those that have begun."""
        self._last = self._connection.highest_inbound_stream_id
        self._more += _goaway_frame(self._last)

    def farewell(self, code: int, reason: bytes) -> bytes:
        """Return the last bytes of a connection that breaks off."""
        connection = self._connection
        data = connection.data_to_send()  # of a connection that h2 has ended itself it is the GOAWAY
        if connection.state_machine.state.name != "CLOSED":
            with suppress(H2Error):
                connection.close_connection(code, additional_data=reason)
        return data + connection.data_to_send()


def _goaway_frame(last_stream_id: int) -> bytes:
    return GoAwayFrame(0, last_stream_id=last_stream_id, error_code=NO_ERROR).serialize()


# ---- one function for each kind of event that not all engines have alike ----


def _request(engine: PureEngine, owner: EngineOwner, event: Any) -> None:
    if event.stream_id > engine._last:
        engine.reset(event.stream_id, REFUSED_STREAM)
    else:
        owner.on_request(event.stream_id, event.headers, event.stream_ended is not None)


def _data(engine: PureEngine, owner: EngineOwner, event: Any) -> None:
    padding = event.flow_controlled_length - len(event.data)
    if padding:
        engine.took(event.stream_id, padding)
    owner.on_data(event.stream_id, event.data, event.stream_ended is not None)


def _reset(_: PureEngine, owner: EngineOwner, event: Any) -> None:
    if event.remote_reset:
        owner.on_reset(event.stream_id, event.error_code)
    else:
        owner.on_broken(event.stream_id, event.error_code)


def _old_priority(_: PureEngine, owner: EngineOwner, event: Any) -> None:
    owner.on_notice("priority")


def _unknown(_: PureEngine, owner: EngineOwner, event: Any) -> None:
    owner.on_notice("priority")
    frame = event.frame
    if frame.type == _PRIORITY_UPDATE and not frame.stream_id and len(frame.body) >= 4:
        owner.on_priority(int.from_bytes(frame.body[:4], "big") & _LARGEST, frame.body[4:])


_TELL: Final[dict[type, Callable[[PureEngine, EngineOwner, Any], None]]] = {
    events.RequestReceived: _request,
    events.DataReceived: _data,
    events.TrailersReceived: tell_trailers,
    events.StreamReset: _reset,
    events.RemoteSettingsChanged: tell_settings,
    events.PingReceived: tell_ping,
    events.PingAckReceived: tell_pong,
    events.WindowUpdated: tell_window,
    events.PriorityUpdated: _old_priority,
    events.UnknownFrameReceived: _unknown,
    events.ConnectionTerminated: tell_goaway,
}
