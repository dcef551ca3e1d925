"""What an HTTP/2 connection does once a second: deadlines, slow clients, floods. Loop thread only.

The settings are those of HTTP/1.1, and hold for each stream: one that is late is reset or answered alone. The
connection as a whole is closed when it is idle for too long, when a frame or a head does not come to its end, or when
the client does not take what was written.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from uvicorn.connections.exchange import Exchange
from uvicorn.connections.h2_limits import Accounts
from uvicorn.connections.h2_stream import Stream
from uvicorn.connections.intake import Intake
from uvicorn.connections.pace import acknowledged_bytes, is_slow_on_purpose, reset_at_close
from uvicorn.connections.quiet import LINGER_SECONDS, QuietTimes
from uvicorn.connections.rates import RateMeter
from uvicorn.connections.service import Service
from uvicorn.connections.unread import has_sent
from uvicorn.connections.watch import is_short_over
from uvicorn.errors import ClientError
from uvicorn.wire.h2_engine import ENHANCE_YOUR_CALM, NO_ERROR
from uvicorn.wire.limits import Limits

__all__ = ["Http2Watch"]

_SWITCHING: Final = 101
_TICK_SECONDS: Final = 1.0
_ANNOUNCED_SECONDS: Final = 1.0  # for the answer to the ping behind the first GOAWAY


class Watched(Protocol):
    """What a watch looks at, and what it does, of its connection."""

    service: Service
    transport: asyncio.Transport
    intake: Intake
    streams: dict[int, Stream]
    accounts: Accounts
    requests: int
    silent_bytes: int
    written_bytes: int

    @property
    def client_name(self) -> str:
        """The client's address, for the log."""

    def end_finally(self) -> None:
        """Refuse what begins from here on."""

    def break_off(self, code: int, reason: str) -> None:
        """Close, because the client has broken the protocol or a limit."""


class Http2Watch(QuietTimes):
    """The times of one connection, and what follows from them."""

    __slots__ = (
        "_announced_at", "_heard_at", "_taken", "_was_idle", "_was_silent",
    )  # fmt: skip

    def __init__(self, connection: Watched) -> None:
        super().__init__(connection)
        self._connection: Watched = connection
        self._heard_at = self._idle_since
        self._announced_at = 0.0
        self._taken: _Pace | None = None  # while the client is behind with what was written
        self._was_idle = self._was_silent = False

    def heard(self) -> None:
        """A frame has come to its end."""
        self._heard_at = self._connection.service.loop.time()

    def announced(self) -> None:
        """The first GOAWAY is on its way."""
        self._announced_at = self._connection.service.loop.time()

    def tick(self, now: float) -> None:
        """Look at all deadlines."""
        connection = self._connection
        limits = connection.service.limits
        connection.accounts.tick(now)
        if self._linger_until:
            if now > self._linger_until:
                connection.transport.abort()
            return
        if self._is_behind_too_long(now, limits):
            reset_at_close(connection.transport)
            connection.transport.abort()
            return
        if self._announced_at and now - self._announced_at > _ANNOUNCED_SECONDS:
            connection.end_finally()
        for stream in tuple(connection.streams.values()):
            if not stream.is_over:
                self._check_stream(stream, now, limits)
        if not connection.intake.reasons:
            self._check_silence(now, limits)

    # ---- the connection ----

    def _is_behind_too_long(self, now: float, limits: Limits) -> bool:
        connection = self._connection
        if not connection.transport.get_write_buffer_size():
            self._taken = None
            return False
        taken = acknowledged_bytes(connection.transport)
        if taken < 0:
            taken = connection.written_bytes - connection.transport.get_write_buffer_size()
        if self._taken is None:
            self._taken = _Pace(now, taken, limits)
        streams = connection.streams.values()
        is_declared = any(is_slow_on_purpose(stream.exchange) for stream in streams)
        setting = self._taken.taking(now, taken, True, is_declared, limits)
        if setting:
            connection.service.log.info(
                "Closing the HTTP/2 connection of %s, too slow to take what was sent (%s)",
                connection.client_name,
                setting,
            )
        return bool(setting)

    def _check_silence(self, now: float, limits: Limits) -> None:
        connection = self._connection
        if connection.silent_bytes:
            is_late = 0 < limits.header_timeout < now - self._heard_at
            was_silent, self._was_silent = self._was_silent, is_late
            if was_silent and is_late and not any(stream.body is not None for stream in connection.streams.values()):
                connection.break_off(ENHANCE_YOUR_CALM, "a frame or a head took too long (header_timeout)")
                return
        if connection.streams:
            self._was_idle = False
            self._requests_seen = -1
            return
        if connection.requests != self._requests_seen:  # busy since the last look: idle from now on
            self._requests_seen = connection.requests
            if connection.requests:
                self._idle_since = now
        timeout = limits.keepalive if connection.requests else limits.header_timeout
        if connection.service.is_stopping:
            timeout = min(timeout or LINGER_SECONDS, LINGER_SECONDS)
        elapsed = now - self._idle_since
        was_idle, self._was_idle = self._was_idle, 0 < timeout < elapsed
        is_over = (was_idle and self._was_idle) or is_short_over(elapsed, timeout)
        # Above, for a while: it is in the midst of a head or frame.
        is_watched = connection.silent_bytes and elapsed < timeout + limits.header_timeout
        if is_over and not is_watched and not has_sent(connection):
            connection.end_finally()

    # ---- one stream ----

    def _check_stream(self, stream: Stream, now: float, limits: Limits) -> None:
        if stream.tunnel is not None:  # a socket has a watch of its own
            if stream.is_sent:
                stream.reset(NO_ERROR)
            elif stream.exchange.status != _SWITCHING:
                self._check_reply(stream, now, limits)
            return
        if stream.body is not None and self._is_body_late(stream, now, limits):
            return
        if stream.queued_bytes:
            self._check_taking(stream, now, limits)
        else:
            stream.taking = None
        if not stream.is_over and not stream.exchange.is_closed:
            self._check_reply(stream, now, limits)

    def _is_body_late(self, stream: Stream, now: float, limits: Limits) -> bool:
        body = stream.body
        assert body is not None
        total = body.size + self._connection.silent_bytes  # a frame that has come in part counts
        if stream.sending is None:
            stream.sending = _Pace(now, total, limits)
        is_declared = body.is_slow or is_slow_on_purpose(stream.exchange)
        if not body.is_wanted or stream.credit.is_held:
            stream.body_at = now
        is_late = stream.sending.sending(now, total, body.is_awaited, is_declared, now - stream.body_at, limits)
        if is_late:
            stream.refuse(ClientError(408, f"the body of the request came too slowly ({is_late})"))
        return bool(is_late)

    def _check_taking(self, stream: Stream, now: float, limits: Limits) -> None:
        """Look whether the client opens the windows that a stream waits for."""
        if stream.taking is None:
            stream.taking = _Pace(now, stream.taken_bytes, limits)
        connection = self._connection
        is_awaited = not stream.is_scheduled and not connection.transport.get_write_buffer_size()
        is_declared = is_slow_on_purpose(stream.exchange)
        setting = stream.taking.taking(now, stream.taken_bytes, is_awaited, is_declared, limits)
        if setting:
            connection.service.log.info(
                "Resetting a stream of %s, too slow to take it (%s): %s",
                connection.client_name,
                setting,
                stream.exchange.shown_line,
            )
            stream.cancel()

    def _check_reply(self, stream: Stream, now: float, limits: Limits) -> None:
        exchange = stream.exchange
        service = self._connection.service
        if exchange.is_abandoned():
            service.wants_collection = True
        body = stream.body
        if 0 < limits.request_timeout < now - exchange.started_at - _TICK_SECONDS and not (
            is_slow_on_purpose(exchange) or (body is not None and body.is_slow)
        ):
            service.log.warning(
                "A request took more than %g seconds (request_timeout), in %s: %s",
                limits.request_timeout,
                exchange.consumer_name,
                exchange.shown_line,
            )
            service.dispatcher.cancel(exchange, 0.0)
            if body is None:
                exchange.answer(504)
            else:
                stream.refuse(ClientError(408, "the request took too long"))
            return
        if not limits.reply_timeout:
            return
        awaits_client = body is not None and body.is_wanted and not stream.credit.is_held
        if not exchange.is_writable() or _is_queued(exchange) or exchange.consumer is None or awaits_client:
            exchange.active_at = now
        elif now - exchange.active_at > limits.reply_timeout + _TICK_SECONDS:
            service.log_of(exchange).warning(
                "%s was silent for %g seconds (reply_timeout): %s",
                exchange.consumer_name,
                limits.reply_timeout,
                exchange.shown_line,
            )
            service.dispatcher.cancel(exchange, 0.0)
            exchange.answer(504)


class _Pace:
    """How fast bytes pass, and since when none have."""

    __slots__ = ("_meter", "_moved_at", "_total", "_was_late")

    def __init__(self, now: float, total: int, limits: Limits) -> None:
        self._meter = RateMeter(now, total, limits.min_rate_grace)
        self._moved_at = now
        self._total = total
        self._was_late = False

    def taking(self, now: float, total: int, is_awaited: bool, is_declared: bool, limits: Limits) -> str:
        """Return the setting that a client is past which takes a response; "" if it keeps up."""
        if total > self._total or not is_awaited:
            self._moved_at = now
        self._total = total
        least = 0 if is_declared else limits.min_write_rate
        if self._meter.look(now, total, is_awaited, least, max(limits.min_rate_grace, limits.write_timeout)):
            return "min_write_rate"
        return "write_timeout" if self._is_late(now - self._moved_at, limits.write_timeout) else ""

    def sending(
        self, now: float, total: int, is_awaited: bool, is_declared: bool, silent_seconds: float, limits: Limits
    ) -> str:
        """Return the setting that a client is past which sends a body; "" if it keeps up."""
        least = 0 if is_declared else limits.min_body_rate
        if self._meter.look(now, total, is_awaited, least, max(limits.min_rate_grace, limits.body_timeout)):
            return "min_body_rate"
        return "body_timeout" if self._is_late(silent_seconds, limits.body_timeout) else ""

    def _is_late(self, seconds: float, timeout: float) -> bool:
        """Whether it is late now and was at the look before: a worker that was held up itself blames nobody."""
        was_late, self._was_late = self._was_late, 0 < timeout < seconds
        return was_late and self._was_late


def _is_queued(exchange: Exchange) -> bool:
    return exchange.job is not None and not exchange.job.started_at
