"""The engine that is libnghttp2, through ngh2. Sans-IO. The only file that knows it.

ngh2 has no way to tell the two levels of flow control apart when bytes were taken, so the connection's window is larger
than those of all its streams together: a stream that nobody reads closes its own window only.

After an error that is fatal to it, a session of ngh2 says nothing any more; the GOAWAY is then made by a fresh one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import ngh2
from ngh2 import events

from uvicorn.wire.h2_engine import (
    ENHANCE_YOUR_CALM,
    NO_ERROR,
    PROTOCOL_ERROR,
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

__all__ = ["Ngh2Engine", "make_maker"]

_UNLIMITED: Final = (2**32 - 1, 2**32 - 1)  # of rates that we count ourselves
_MOST_CONTINUATIONS: Final = 8
_REQUEST: Final = events.RequestReceived
_CLOSED: Final = events.StreamClosed


def make_maker(limits: Http2Limits) -> tuple[Callable[[], Ngh2Engine], str]:
    """Return what makes engines, and its name."""
    config = ngh2.Configuration(
        auto_window_update=False,
        max_inbound_header_list_size=limits.header_list_size,
        max_inbound_header_count=limits.most_fields,
        max_continuations=_MOST_CONTINUATIONS,
        stream_reset_rate_limit=_UNLIMITED,
        glitch_rate_limit=_UNLIMITED,
    )
    settings = limits.settings()
    return lambda: Ngh2Engine(config, settings, limits.connection_window), f"ngh2 {ngh2.__version__}"


class Ngh2Engine:
    """One session of libnghttp2."""

    __slots__ = ("_connection", "_is_failed", "_known_resets", "_newest", "_settings", "_window")

    def __init__(self, config: ngh2.Configuration, settings: dict[int, int], window: int) -> None:
        self._connection = ngh2.Connection(ngh2.Role.SERVER, config)
        self._settings = settings
        self._window = window
        self._known_resets: set[int] | None = None  # streams whose reset is known already; made for the first one
        self._is_failed = False
        self._newest = 0  # stream: what came before it may be on its way to be answered

    def start(self) -> None:
        """Say our settings."""
        self._connection.initiate_connection(self._settings)
        self._connection.set_local_window_size(self._window)

    def receive(self, data: bytes | memoryview, owner: EngineOwner) -> int:
        """Take what the client sent, and tell the owner.

        Raises: EngineError.
        """
        connection = self._connection
        try:
            connection.receive_data(data)
        except ngh2.NGH2Error as error:
            self._is_failed = True
            is_flood = isinstance(error, ngh2.DenialOfServiceError)
            raise EngineError(ENHANCE_YOUR_CALM if is_flood else PROTOCOL_ERROR, str(error)) from None
        found = connection.events()
        for event in found:
            if type(event) is _REQUEST:  # most often, and one call less
                self._newest = event.stream_id
                owner.on_request(event.stream_id, event.headers, event.end_stream)
            else:
                _TELL[type(event)](self, owner, event)
        return len(found)

    def output(self, owner: EngineOwner) -> bytes:
        """Return what is to be written now."""
        if self._is_failed:
            return b""
        connection = self._connection
        data = connection.data_to_send()
        for event in connection.events():
            if type(event) is not _CLOSED or event.error_code:  # most often a stream has ended well
                _TELL[type(event)](self, owner, event)
        return data

    def room(self, stream_id: int) -> int:
        """Return how many bytes of content the client takes on this stream now."""
        connection = self._connection
        try:
            queued = connection.queued_body_size()
            window = connection.stream_remote_window_size(stream_id)
            if queued:  # of all streams: something of this one may be among it
                window -= connection.queued_body_size(stream_id)
            return min(window, connection.remote_window_size - queued)
        except ngh2.NGH2Error:
            return 0

    def respond(self, stream_id: int, fields: Pairs, ends: bool) -> None:
        """Send the head of a response."""
        try:
            self._connection.send_response(stream_id, fields, end_stream=ends)
        except ngh2.NGH2Error:
            pass

    def inform(self, stream_id: int, fields: Pairs) -> None:
        """Send an informational response."""
        try:
            self._connection.send_informational_response(stream_id, fields)
        except ngh2.NGH2Error:
            pass

    def send(self, stream_id: int, data: bytes | memoryview, ends: bool) -> None:
        """Send content."""
        try:
            self._connection.send_data(stream_id, data, end_stream=ends)
        except ngh2.NGH2Error:
            pass

    def send_trailers(self, stream_id: int, fields: Pairs) -> None:
        """End a response with trailers."""
        try:
            self._connection.send_trailers(stream_id, fields)
        except ngh2.NGH2Error:
            pass

    def reset(self, stream_id: int, code: int) -> None:
        """Reset a stream."""
        try:
            self._connection.reset_stream(stream_id, code)
        except ngh2.NGH2Error:
            return
        if code != NO_ERROR:
            self.know_reset(stream_id)

    def know_reset(self, stream_id: int) -> None:
        """Tell nobody when this stream is closed: its reset is known."""
        if self._known_resets is None:
            self._known_resets = set()
        self._known_resets.add(stream_id)

    def forget_reset(self, stream_id: int) -> bool:
        """Whether the reset of a stream that is closed was known."""
        known = self._known_resets
        if known is None or stream_id not in known:
            return False
        known.discard(stream_id)
        return True

    def took(self, stream_id: int, size: int) -> None:
        """Open the window for so many bytes again."""
        try:
            self._connection.acknowledge_received_data(size, stream_id)
        except (ngh2.NGH2Error, ValueError):
            pass

    def widen(self, stream_id: int, size: int) -> None:
        """Make the window of a stream as large as this."""
        try:
            self._connection.set_local_window_size(size, stream_id=stream_id)
        except ngh2.NGH2Error:
            pass

    def ping(self) -> None:
        """Ask the client for a sign of life."""
        try:
            self._connection.ping()
        except ngh2.NGH2Error:
            pass

    def announce_end(self) -> None:
        """Send a GOAWAY that refuses no stream yet."""
        try:
            self._connection.send_shutdown_notice()
        except ngh2.NGH2Error:
            pass

    def end(self) -> None:
        """Send a GOAWAY that refuses every stream but those that have begun."""
        try:
            self._connection.send_goaway()
        except ngh2.NGH2Error:
            pass

    def farewell(self, code: int, reason: bytes) -> bytes:
        """Return the last bytes of a connection that breaks off."""
        connection = self._connection
        if self._is_failed:
            connection = ngh2.Connection(ngh2.Role.SERVER)
            connection.initiate_connection()
            connection.data_to_send()  # its settings: not for anybody
        self._is_failed = True
        try:
            connection.send_goaway(code, last_stream_id=self._newest, debug_data=reason)
            return connection.data_to_send()
        except ngh2.NGH2Error:
            return b""


# ---- one function for each kind of event that not all engines have alike ----


def _data(_: Ngh2Engine, owner: EngineOwner, event: Any) -> None:
    owner.on_data(event.stream_id, event.data, event.end_stream)


def _reset(engine: Ngh2Engine, owner: EngineOwner, event: Any) -> None:
    if event.error_code != NO_ERROR:
        engine.know_reset(event.stream_id)
    owner.on_reset(event.stream_id, event.error_code)


def _closed(engine: Ngh2Engine, owner: EngineOwner, event: Any) -> None:
    if event.error_code == NO_ERROR:
        return
    if not engine.forget_reset(event.stream_id):
        owner.on_broken(event.stream_id, event.error_code)


def _priority(_: Ngh2Engine, owner: EngineOwner, event: Any) -> None:
    owner.on_notice("priority")
    owner.on_priority(event.prioritized_stream_id, event.field_value)


def _end(_: Ngh2Engine, owner: EngineOwner, event: Any) -> None:
    owner.on_end(event.error_code, event.debug_data[:80].decode("ascii", "backslashreplace"))


def _nothing(_: Ngh2Engine, owner: EngineOwner, event: Any) -> None:
    """Tell nobody."""


_TELL: Final[dict[type, Callable[[Ngh2Engine, EngineOwner, Any], None]]] = {
    events.DataReceived: _data,
    events.TrailersReceived: tell_trailers,
    events.StreamReset: _reset,
    events.StreamClosed: _closed,
    events.SettingsReceived: tell_settings,
    events.SettingsAcknowledged: _nothing,
    events.PingReceived: tell_ping,
    events.PingAcknowledged: tell_pong,
    events.WindowUpdated: tell_window,
    events.PriorityUpdateReceived: _priority,
    events.GoAwayReceived: tell_goaway,
    events.ConnectionClosed: _end,
    events.AltSvcReceived: _nothing,
    events.OriginReceived: _nothing,
}
