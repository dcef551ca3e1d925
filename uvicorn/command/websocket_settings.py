"""Our settings for WebSocket, one class each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from uvicorn.command.setting_types import OurSetting, on_or_off, seconds, whole
from uvicorn.wire.limits import SocketLimits

__all__ = ["WEBSOCKET_SETTINGS", "socket_limits"]


class WebSocketDeflate(OurSetting):
    name = "websocket_deflate"
    cli: ClassVar = ["--no-websocket-deflate"]
    action = "store_const"
    const = False
    validator = on_or_off("websocket_deflate")
    default = True
    desc = """\
        Compress WebSocket messages (``permessage-deflate``) for clients that offer it.

        Messages of less than 128 bytes are sent as they are: compressing them costs more than it saves.
        """


class WebSocketMaxFragments(OurSetting):
    name = "websocket_max_fragments"
    cli: ClassVar = ["--websocket-max-fragments"]
    meta = "INT"
    type = int
    validator = whole("websocket_max_fragments", "fragments", 1)
    default = 100000
    desc = """\
        Most fragments of one WebSocket message; past it the socket is closed with 1009.
        """


class WebSocketQueueSize(OurSetting):
    name = "websocket_queue_size"
    cli: ClassVar = ["--websocket-queue-size"]
    meta = "INT"
    type = int
    validator = whole("websocket_queue_size", "messages", 1)
    default = 32
    desc = """\
        Messages of one socket that may wait for its consumer before the server stops reading from it.
        """


class WebSocketQueueBytes(OurSetting):
    name = "websocket_queue_bytes"
    cli: ClassVar = ["--websocket-queue-bytes"]
    meta = "BYTES"
    type = int
    validator = whole("websocket_queue_bytes", "bytes", 1)
    default = 262144
    desc = """\
        Bytes of one socket's messages that may wait for its consumer before the server stops reading from it.

        One message may be larger: its limit is ``websocket_max_message_size``.
        """


class WebSocketBacklogTimeout(OurSetting):
    name = "websocket_backlog_timeout"
    cli: ClassVar = ["--websocket-backlog-timeout"]
    meta = "SECONDS"
    type = float
    validator = seconds("websocket_backlog_timeout")
    default = 60.0
    desc = """\
        Seconds that the server may have stopped reading from a socket, because messages wait, without its consumer
        taking one of them; then the socket is closed with 1013. 0 for no limit.
        """


class WebSocketPingInterval(OurSetting):
    name = "websocket_ping_interval"
    cli: ClassVar = ["--websocket-ping-interval"]
    meta = "SECONDS"
    type = float
    validator = seconds("websocket_ping_interval")
    default = 20.0
    desc = """\
        Seconds of silence after which the server pings the client of a socket; 0 for no pings.
        """


class WebSocketPingTimeout(OurSetting):
    name = "websocket_ping_timeout"
    cli: ClassVar = ["--websocket-ping-timeout"]
    meta = "SECONDS"
    type = float
    validator = seconds("websocket_ping_timeout")
    default = 20.0
    desc = """\
        Seconds that a client may be silent after a ping; then the socket is closed with 1011. 0 for no limit.
        """


class WebSocketHandshakeTimeout(OurSetting):
    name = "websocket_handshake_timeout"
    cli: ClassVar = ["--websocket-handshake-timeout"]
    meta = "SECONDS"
    type = float
    validator = seconds("websocket_handshake_timeout")
    default = 10.0
    desc = """\
        Seconds that a consumer may take to answer ``websocket.connect``; 0 for no limit.

        Past it the client gets 504. Time in which it waits for a thread is not counted: see ``queue_timeout``.
        """


class WebSocketCloseTimeout(OurSetting):
    name = "websocket_close_timeout"
    cli: ClassVar = ["--websocket-close-timeout"]
    meta = "SECONDS"
    type = float
    validator = seconds("websocket_close_timeout")
    default = 10.0
    desc = """\
        Seconds that a client may take to answer when the server closes a socket; then the connection is cut.

        0 cuts it at the next look, a second later at most. The answer to a client's close frame waits as long at most
        for the replies to what came before it.
        """


class WSGISockets(OurSetting):
    name = "wsgi_sockets"
    cli: ClassVar = ["--wsgi-sockets"]
    meta = "INT"
    type = int
    validator = whole("wsgi_sockets", "sockets", 0)
    default = 20
    desc = """\
        Raw sockets of WSGI applications that may be open at a time, per worker; 0 for none.

        An application that speaks WebSocket by itself (flask-sock, simple-websocket) holds a thread of the pool for
        each of its sockets. One thread at least is left for pages; past that, a handshake gets 503.
        """


WEBSOCKET_SETTINGS = (
    WebSocketDeflate, WebSocketMaxFragments, WebSocketQueueSize, WebSocketQueueBytes, WebSocketBacklogTimeout,
    WebSocketPingInterval, WebSocketPingTimeout, WebSocketHandshakeTimeout, WebSocketCloseTimeout, WSGISockets,
)  # fmt: skip


def socket_limits(ours: Mapping[str, Any], max_message_size: int) -> SocketLimits:
    """Take the values of our settings, by name, and Gunicorn's `websocket_max_message_size`."""
    return SocketLimits(
        max_message_size=max_message_size,
        **{setting.name.removeprefix("websocket_"): ours[setting.name] for setting in WEBSOCKET_SETTINGS},
    )
