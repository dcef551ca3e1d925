"""How fast one client sends a body and takes a response. Looked at once a second, and only while there is something to
look at: a connection that is idle, or quick, has none of these objects. Loop thread only.

What a client has taken is what its system has acknowledged (`TCP_INFO`), where the system tells: what Linux keeps in
the buffers of a socket, up to 4 MiB, says nothing about the client. Elsewhere it is what has left our own buffer.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from typing import Final, Protocol

from uvicorn.connections.body import RequestBody
from uvicorn.connections.exchange import Exchange
from uvicorn.connections.pipeline import Pipeline
from uvicorn.connections.rates import RateMeter, Standstill
from uvicorn.connections.service import Service
from uvicorn.wire.limits import Limits

__all__ = [
    "SendingPace", "TakingPace", "acknowledged_bytes", "drop", "is_event_stream", "is_slow_on_purpose",
    "reset_at_close",
]  # fmt: skip

_TCP_INFO: Final = getattr(socket, "TCP_INFO", None)  # Linux
_ACKNOWLEDGED: Final = struct.Struct("=120xQ")  # struct tcp_info of linux/tcp.h: tcpi_bytes_acked, from Linux 4.1 on
_RESET: Final = struct.pack("ii", 1, 0)  # struct linger: on, 0 seconds
_EVENT_STREAM: Final = re.compile(rb"^content-type:[ \t]*text/event-stream[ \t]*(?:;|\r)", re.IGNORECASE | re.MULTILINE)


class Paced(Protocol):
    """What is looked at of a connection."""

    service: Service
    transport: asyncio.Transport
    pipeline: Pipeline


class SendingPace:
    """The pace of a client that sends a body.

    Attributes:
        body: the body.
        is_declared: it may come slowly.
    """

    __slots__ = ("_connection", "body", "is_declared", "meter")

    def __init__(self, connection: Paced, body: RequestBody, now: float) -> None:
        self._connection = connection
        self.body = body
        self.is_declared = body.is_slow
        self.meter = RateMeter(now, body.size, connection.service.limits.min_rate_grace)

    def is_late(self, now: float, limits: Limits) -> bool:
        """Look at what has come; return whether the client is slower than `min_body_rate`."""
        body = self.body
        exchanges = self._connection.pipeline.exchanges
        # A response may begin before its request is complete, and declare it.
        self.is_declared = body.is_slow or (len(exchanges) > 0 and is_slow_on_purpose(exchanges[-1]))
        least = 0 if self.is_declared else limits.min_body_rate
        return self.meter.look(now, body.size, body.is_awaited, least, max(limits.min_rate_grace, limits.body_timeout))


class TakingPace:
    """The pace of a client that is behind with what was written to it, until it has taken all.

    Attributes:
        exchange: whose response it takes; None if that is not known any more.
        is_declared: it may be taken slowly.
    """

    __slots__ = ("_connection", "_standstill", "exchange", "is_declared", "meter")

    def __init__(self, connection: Paced, now: float) -> None:
        self._connection = connection
        taken = taken_bytes(connection)
        self._standstill = Standstill(now, taken)
        self.exchange: Exchange | None = None
        self.is_declared = False
        self.meter = RateMeter(now, taken, connection.service.limits.min_rate_grace)

    def late(self, now: float, limits: Limits) -> str:
        """Look at what was taken.

        Returns: the name of the setting that the client is past; "" if it keeps up.
        """
        taken = taken_bytes(self._connection)
        stalls = self._standstill.look(now, taken, limits.write_timeout)
        self._look_at_exchange()
        least = 0 if self.is_declared else limits.min_write_rate
        if self.meter.look(now, taken, True, least, max(limits.min_rate_grace, limits.write_timeout)):
            return "min_write_rate"
        return "write_timeout" if stalls else ""

    def _look_at_exchange(self) -> None:
        """Find out whose response it is; the end of one may still be on its way when its exchange is over."""
        pipeline = self._connection.pipeline
        exchanges = pipeline.exchanges
        exchange = exchanges[0] if exchanges and exchanges[0].status else pipeline.tail
        if exchange is not None:
            self.exchange = exchange
            self.is_declared = is_slow_on_purpose(exchange)


def is_slow_on_purpose(exchange: Exchange) -> bool:
    """Whether a client may be slow to take a response: its route or its reply says so, or it is an event stream."""
    if exchange.fields.is_slow or (exchange.consumer is not None and exchange.consumer.is_slow):
        return True
    return is_event_stream(exchange)


def is_event_stream(exchange: Exchange) -> bool:
    """Whether the response is a stream of server-sent events: nobody can say when the next one comes."""
    return _EVENT_STREAM.search(exchange.fields.block) is not None


def drop(connection: Paced) -> None:
    """Cut off a client that does not take what was written to it, with a reset.

    Closed in the usual way, what it has not taken would stay in the system, up to 4 MiB, for as long as it likes.
    """
    reset_at_close(connection.transport)
    connection.pipeline.abort()


def reset_at_close(transport: asyncio.Transport) -> None:
    """Have a connection end with a reset."""
    sock = transport.get_extra_info("socket")
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    except (OSError, AttributeError):  # it is closed already, or no socket
        pass


def taken_bytes(connection: Paced) -> int:
    """Return how many bytes the client has taken: only the growth of it means something."""
    acknowledged = acknowledged_bytes(connection.transport)
    if acknowledged >= 0:
        return acknowledged
    pipeline = connection.pipeline
    return pipeline.written_bytes - pipeline.buffered_bytes()


def acknowledged_bytes(transport: asyncio.Transport) -> int:
    """Return how many bytes the client's system has acknowledged; -1 if ours does not tell."""
    sock = transport.get_extra_info("socket")
    if _TCP_INFO is not None and sock is not None and sock.family != socket.AF_UNIX:
        try:
            info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _ACKNOWLEDGED.size)
        except OSError:
            info = b""
        if len(info) == _ACKNOWLEDGED.size:
            acknowledged: int = _ACKNOWLEDGED.unpack(info)[0]
            return acknowledged
    return -1
