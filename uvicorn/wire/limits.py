"""The numbers that connections and sockets read: plain values, wherever they come from."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Http2Limits", "Limits", "SocketLimits"]

_LONGEST_HEAD = 1048576  # bytes; arbitrary: where even "unlimited" lines end
_LARGEST_WINDOW = 2**31 - 1  # RFC 9113 section 6.9.1


class SocketLimits(NamedTuple):
    """The numbers that a socket reads. Bytes and seconds; 0 is no limit, unless it says otherwise."""

    max_message_size: int = 16777216
    max_fragments: int = 100000
    deflate: bool = True
    queue_size: int = 32
    queue_bytes: int = 262144
    backlog_timeout: float = 60.0
    ping_interval: float = 20.0
    ping_timeout: float = 20.0
    handshake_timeout: float = 10.0
    close_timeout: float = 10.0  # 0: at once
    wsgi_sockets: int = 20  # raw ones, of WSGI applications; 0: none


class Http2Limits(NamedTuple):
    """The numbers of an HTTP/2 connection, as Gunicorn's settings have them. Bytes, unless it says otherwise.

    Attributes:
        streams: that a client may have open at the same time.
        window_size: of each stream: what a client may send before its consumer takes it.
        wide_window: of a stream whose consumer keeps up with a long body, if that is more.
        most_wide: streams of one connection that have it at the same time.
        frame_size: the largest frame that is taken.
        header_list_size: of one head, as RFC 9113 section 6.5.2 counts it.
        most_fields: of one head; with more the connection is closed, with more than `limit_request_fields` it is 431.
    """

    streams: int = 100
    window_size: int = 65535
    frame_size: int = 16384
    header_list_size: int = 65536
    most_fields: int = 300
    wide_window: int = 1048576
    most_wide: int = 4

    @property
    def connection_window(self) -> int:
        """Twice the windows of all streams together: one that nobody reads closes its own window only.

        Twice, since libnghttp2 opens a window again when half of it was taken. What is kept for a client is bounded by
        the windows of its streams.
        """
        wider = max(0, self.wide_window - self.window_size)
        return min(2 * (self.window_size * (self.streams + 1) + self.most_wide * wider), _LARGEST_WINDOW)

    def settings(self) -> dict[int, int]:
        """Return what the client is told (RFC 9113 section 6.5.2; 8: RFC 8441; 9: RFC 9218)."""
        return {
            3: self.streams,
            4: self.window_size,
            5: self.frame_size,
            6: self.header_list_size,
            8: 1,
            9: 1,
        }


class Limits(NamedTuple):
    """The numbers that a connection reads. Bytes and seconds; 0 is no limit, unless it says otherwise."""

    request_line: int = 4094
    request_fields: int = 100
    request_field_size: int = 8190
    request_body: int = 0
    body_buffer: int = 65536
    write_buffer: int = 65536
    header_timeout: float = 10.0
    body_timeout: float = 30.0
    write_timeout: float = 60.0
    reply_timeout: float = 300.0
    request_timeout: float = 0.0
    min_body_rate: int = 240  # bytes a second
    min_write_rate: int = 240
    min_rate_grace: float = 20.0  # 0: none
    connections_per_address: int = 0
    keepalive: float = 2.0  # 0: connections are not kept
    disconnect_grace: float = 3.0  # before a task whose client left is cancelled
    sendfile: bool = True  # files go to plain sockets without a copy
    sockets: SocketLimits = SocketLimits()
    http2: Http2Limits = Http2Limits()

    @property
    def shortest_refused(self) -> int:
        """A head up to this size can neither have a line that is too long, nor be too long itself."""
        limits = [limit for limit in (self.request_line, self.request_field_size) if limit]
        return min(limits, default=_LONGEST_HEAD)

    @property
    def longest_head(self) -> int:
        """The most bytes that the head of a request may have, whatever single limits say."""
        if not (self.request_line and self.request_field_size):
            return _LONGEST_HEAD
        return self.request_line + self.request_fields * self.request_field_size + 4
