"""Our settings that bound what a client may do: timeouts, rates, sizes and numbers, one class each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from uvicorn.command.setting_types import OurSetting, seconds, whole

__all__ = ["LIMIT_SETTINGS", "given_limits"]


class ReplyTimeout(OurSetting):
    name = "reply_timeout"
    cli: ClassVar = ["--reply-timeout"]
    meta = "SECONDS"
    type = float
    validator = seconds("reply_timeout")
    default = 300.0
    desc = """\
        Seconds that a consumer may be silent before its reply is cut; 0 for no limit.

        Counted from the call of the consumer, or from the last part that it sent. A response that
        has not begun becomes 504, one that has begun is broken off. Time in which the client does not
        take what was sent is not counted: see ``write_timeout``.
        """


class HeaderTimeout(OurSetting):
    name = "header_timeout"
    cli: ClassVar = ["--header-timeout"]
    meta = "SECONDS"
    type = float
    validator = seconds("header_timeout")
    default = 10.0
    desc = """\
        Seconds that a client may take to send the head of a request; 0 for no limit.

        Past it the client gets 408, or, if it has sent nothing at all, the connection is closed.
        """


class BodyTimeout(OurSetting):
    name = "body_timeout"
    cli: ClassVar = ["--body-timeout"]
    meta = "SECONDS"
    type = float
    validator = seconds("body_timeout")
    default = 30.0
    desc = """\
        Longest pause, in seconds, in a client's request body; 0 for no limit.

        Past it the client gets 408. Time in which the consumer does not take the body is not counted.
        """


class WriteTimeout(OurSetting):
    name = "write_timeout"
    cli: ClassVar = ["--write-timeout"]
    meta = "SECONDS"
    type = float
    validator = seconds("write_timeout")
    default = 60.0
    desc = """\
        Seconds in which a client that is behind must take at least one byte; 0 for no limit.

        Past it the connection is closed.
        """


class RequestTimeout(OurSetting):
    name = "request_timeout"
    cli: ClassVar = ["--request-timeout"]
    meta = "SECONDS"
    type = float
    validator = seconds("request_timeout")
    default = 0.0
    desc = """\
        Seconds that a whole request may take, from the end of its head to the end of its response; 0, the default,
        for no limit.

        Its body, its wait for a thread and its consumer are counted, whoever is slow. Past it a request whose
        body is not complete becomes 408, one that is not answered 504, and a response that has begun is broken off.
        Sockets, event streams (``text/event-stream``) and what is declared slow are exempt.
        """


class MinBodyRate(OurSetting):
    name = "min_body_rate"
    cli: ClassVar = ["--min-body-rate"]
    meta = "BYTES"
    type = int
    validator = whole("min_body_rate", "bytes a second")
    default = 240
    desc = """\
        Bytes a second that a client must send of a request body, on average; 0 for no limit.

        It may be slower for ``min_rate_grace`` seconds; then it gets 408. Time in which the consumer does not wait for
        the body is not counted. Routes that are declared slow are exempt.
        """


class MinWriteRate(OurSetting):
    name = "min_write_rate"
    cli: ClassVar = ["--min-write-rate"]
    meta = "BYTES"
    type = int
    validator = whole("min_write_rate", "bytes a second")
    default = 240
    desc = """\
        Bytes a second that a client which is behind must take of a response, on average; 0 for no limit.

        It may be slower for ``min_rate_grace`` seconds; then its connection is closed. Time in which it has taken all
        that was sent is not counted. Sockets, event streams (``text/event-stream``) and what is declared slow are
        exempt.
        """


class MinRateGrace(OurSetting):
    name = "min_rate_grace"
    cli: ClassVar = ["--min-rate-grace"]
    meta = "SECONDS"
    type = float
    validator = seconds("min_rate_grace")
    default = 20.0
    desc = """\
        Seconds for which a client may be slower than ``min_body_rate`` or ``min_write_rate``.
        """


class LimitRequestBody(OurSetting):
    name = "limit_request_body"
    cli: ClassVar = ["--limit-request-body"]
    meta = "BYTES"
    type = int
    validator = whole("limit_request_body", "bytes")
    default = 0
    desc = """\
        Largest request body, in bytes; 0, the default, for no limit. A larger one gets 413.
        """


class ConnectionsPerAddress(OurSetting):
    name = "limit_connections_per_address"
    cli: ClassVar = ["--limit-connections-per-address"]
    meta = "INT"
    type = int
    validator = whole("limit_connections_per_address", "connections")
    default = 0
    desc = """\
        Most open connections of one client address, per worker; 0, the default, for no limit.

        One more is closed at once. Of an IPv6 address the first 64 bits count. Behind a proxy all clients have
        the proxy's address, unless it sends it in a PROXY header (``proxy_protocol``).
        """


LIMIT_SETTINGS: Final = (
    ReplyTimeout, HeaderTimeout, BodyTimeout, WriteTimeout, RequestTimeout, MinBodyRate, MinWriteRate, MinRateGrace,
    LimitRequestBody, ConnectionsPerAddress,
)  # fmt: skip


def given_limits(ours: Mapping[str, Any]) -> dict[str, Any]:
    """Return what these settings say, as arguments of `Limits`."""
    values = {setting.name: ours[setting.name] for setting in LIMIT_SETTINGS}
    values["request_body"] = values.pop("limit_request_body")
    values["connections_per_address"] = values.pop("limit_connections_per_address")
    return values
