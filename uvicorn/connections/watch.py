"""What a connection does once a second: deadlines, slow clients, clients that may have left.

One tick of the server serves all connections; no connection has a timer of its own. Loop thread only.

*Has a half-closed client left?* A client that has sent FIN may wait for its answer (`shutdown`), or be gone
(`close`): TCP does not say which until something is sent. If the answer is not ready soon, or waits for a
thread, an HTTP/1.1 client is sent `100 Continue`, which RFC 9110 section 15.2 lets a server send at any time before
the response. A client that is there ignores it; one that is gone resets the connection, and a look at
the socket tells.
"""

from __future__ import annotations

import asyncio
import select
from typing import Final, Protocol

from uvicorn.connections.body import RequestBody
from uvicorn.connections.exchange import Exchange
from uvicorn.connections.intake import Intake
from uvicorn.connections.life import Life
from uvicorn.connections.pace import SendingPace, TakingPace, drop, is_slow_on_purpose
from uvicorn.connections.pipeline import Pipeline
from uvicorn.connections.quiet import LINGER_SECONDS, QuietTimes
from uvicorn.connections.service import Service
from uvicorn.connections.unread import has_sent
from uvicorn.errors import ClientError
from uvicorn.wire.encoder import CONTINUE
from uvicorn.wire.limits import Limits

__all__ = ["ConnectionWatch", "Watched", "is_short_over"]

_TICK_SECONDS: Final = 1.0  # how exact `active_at` is: a reply is never cut early
_CLOCK_SECONDS: Final = 0.001  # how exact the loop's clock is
_PROBE_SECONDS: Final = 0.05  # arbitrary: a round trip to most clients


class Watched(Protocol):
    """What a watch looks at, and what it does, of its connection."""

    service: Service
    transport: asyncio.Transport
    pipeline: Pipeline
    life: Life
    intake: Intake
    body: RequestBody | None
    requests: int

    @property
    def client_name(self) -> str:
        """The client's address, for the log."""

    def refuse(self, error: ClientError) -> None:
        """Answer what is not a request, or not a complete one, in its turn, and close."""


class ConnectionWatch(QuietTimes):
    """The times of one connection, and what follows from them."""

    __slots__ = (
        "_closing_since", "_is_probed", "_was_late", "body_at", "head_since", "sending", "taking",
    )  # fmt: skip

    def __init__(self, connection: Watched) -> None:
        super().__init__(connection)
        self._connection: Watched = connection
        self.head_since = 0.0  # when the first byte of an unfinished head came; 0 if there is none
        self.body_at = 0.0  # when the client last sent something of a body
        self._closing_since = 0.0  # since when all is written to a connection that we have closed
        self.sending: SendingPace | None = None  # of the body that comes in, from the first look at it
        self.taking: TakingPace | None = None  # while the client is behind
        self._is_probed = False
        self._was_late = False

    def on_head_began(self) -> None:
        """A head came in part."""
        if not self.head_since:
            self.head_since = self._connection.service.loop.time()

    def tick(self, now: float) -> None:
        """Look at all deadlines."""
        connection = self._connection
        limits = connection.service.limits
        if self._is_behind_too_long(now):
            drop(connection)
            return
        if (self._linger_until and now > self._linger_until) or self._is_left_open(now):
            connection.pipeline.abort()
            return
        if connection.body is None:
            self.sending = None
        if connection.body is not None:
            self._check_body(now, limits)
        elif self.head_since:
            if self._is_overdue(now - self.head_since, limits.header_timeout):
                self.head_since = 0.0
                connection.service.numbers.refuse("header_timeout")
                connection.refuse(ClientError(408, "the head of the request took too long"))
        elif not connection.pipeline.exchanges and not connection.life.is_over and not connection.intake.reasons:
            self._check_idle(now)
        if connection.pipeline.exchanges:
            self._check_replies(now, limits)
            if connection.life.is_half_closed and connection.pipeline.exchanges:  # the last one may have just ended
                self._check_peer()

    def on_half_closed(self) -> bool:
        """The client has sent FIN while answers are due. Returns: whether to keep the connection."""
        if self._is_peer_gone():
            return False
        if any(_is_queued(exchange) for exchange in self._connection.pipeline.exchanges):
            self._probe()
        return True

    def _check_body(self, now: float, limits: Limits) -> None:
        connection = self._connection
        body = connection.body
        assert body is not None
        if self.sending is None or self.sending.body is not body:
            self.sending = SendingPace(connection, body, now)
        if self.sending.is_late(now, limits):
            connection.service.numbers.refuse("min_body_rate")
            connection.refuse(ClientError(408, "the body of the request came too slowly (min_body_rate)"))
            return
        if connection.intake.is_held or not body.is_wanted:
            self.body_at = now
        elif self._is_overdue(now - self.body_at, limits.body_timeout):
            connection.service.numbers.refuse("body_timeout")
            connection.refuse(ClientError(408, "the body of the request took too long"))

    def _check_idle(self, now: float) -> None:
        connection = self._connection
        service = connection.service
        if connection.requests != self._requests_seen:  # busy since the last look: idle from now on
            self._requests_seen = connection.requests
            self._idle_since = now
            return
        timeout = service.limits.keepalive if connection.requests else service.limits.header_timeout
        if service.is_stopping:
            timeout = min(timeout or LINGER_SECONDS, LINGER_SECONDS)
        elapsed = now - self._idle_since
        is_over = self._is_overdue(elapsed, timeout) or is_short_over(elapsed, timeout)
        if is_over and not connection.transport.is_closing() and not has_sent(connection):
            connection.transport.close()

    def _is_overdue(self, elapsed: float, timeout: float) -> bool:
        """Whether the client is late, now and at the tick before.

        Between two ticks the loop looks at its sockets. A worker that was itself held up (a machine under load, a
        blocked loop) thus reads what has come meanwhile before it blames a client.
        """
        was_late, self._was_late = self._was_late, 0 < timeout < elapsed
        return was_late and self._was_late

    def _check_replies(self, now: float, limits: Limits) -> None:
        timeout = limits.reply_timeout
        connection = self._connection
        if any(exchange.is_abandoned() for exchange in connection.pipeline.exchanges):
            connection.service.wants_collection = True
        if limits.request_timeout:
            self._check_requests(now, limits.request_timeout)
        if not timeout:
            return
        body = connection.body
        # Who takes the body as it comes is waiting for the client: that is for body_timeout to watch.
        awaits_client = body is not None and body.is_wanted and not connection.intake.is_held
        for exchange in tuple(connection.pipeline.exchanges):
            if (
                not exchange.is_writable()
                or _is_queued(exchange)
                or exchange.consumer is None
                or (awaits_client and not exchange.is_request_complete)
            ):
                exchange.active_at = now
            elif not exchange.is_closed and now - exchange.active_at > timeout + _TICK_SECONDS:
                connection.service.log_of(exchange).warning(
                    "%s was silent for %g seconds (reply_timeout): %s",
                    exchange.consumer_name,
                    timeout,
                    exchange.shown_line,
                )
                connection.service.numbers.refuse("reply_timeout")
                connection.service.dispatcher.cancel(exchange, 0.0)
                exchange.answer(504)

    def _check_requests(self, now: float, timeout: float) -> None:
        """Look for requests that take too long as a whole, whoever is slow."""
        connection = self._connection
        for exchange in tuple(connection.pipeline.exchanges):
            if exchange.is_closed or now - exchange.started_at <= timeout + _TICK_SECONDS:
                continue
            body = connection.body if not exchange.is_request_complete else None
            if is_slow_on_purpose(exchange) or (body is not None and body.is_slow):
                continue
            connection.service.log.warning(
                "A request took more than %g seconds (request_timeout), in %s: %s",
                timeout,
                exchange.consumer_name,
                exchange.shown_line,
            )
            connection.service.numbers.refuse("request_timeout")
            connection.service.dispatcher.cancel(exchange, 0.0)
            if exchange.is_request_complete:
                exchange.answer(504)
            else:
                connection.refuse(ClientError(408, "the request took too long"))

    def _is_behind_too_long(self, now: float) -> bool:
        """Whether the client is too slow to take what waits for it."""
        connection = self._connection
        if not connection.pipeline.buffered_bytes():
            if self.taking is not None:
                self.taking = connection.pipeline.tail = None
            return False
        if self.taking is None:
            self.taking = TakingPace(connection, now)
        setting = self.taking.late(now, connection.service.limits)
        if setting:
            connection.service.numbers.refuse(setting)
            exchange = self.taking.exchange
            line = exchange.shown_line if exchange is not None else "the last response"
            connection.service.log.info(
                "Closing the connection of %s, too slow to take it (%s): %s", connection.client_name, setting, line
            )
        return bool(setting)

    def _is_left_open(self, now: float) -> bool:
        """Whether a client with TLS has not answered the end of the session in time; some loops wait for it long."""
        connection = self._connection
        if not connection.transport.is_closing() or connection.pipeline.buffered_bytes():
            return False
        self._closing_since = self._closing_since or now
        return now - self._closing_since > LINGER_SECONDS

    # ---- half-closed clients ----

    def _check_peer(self) -> None:
        if self._is_peer_gone():
            self._connection.pipeline.abort()
        elif not self._is_probed:
            self._probe()

    def _probe(self) -> None:
        connection = self._connection
        first = connection.pipeline.exchanges[0]
        if first.status or first.request_line.is_http10:
            return
        self._is_probed = True
        connection.pipeline.write(CONTINUE)
        connection.service.loop.call_later(_PROBE_SECONDS, self._look_again)

    def _look_again(self) -> None:
        if self._is_peer_gone():
            self._connection.pipeline.abort()

    def _is_peer_gone(self) -> bool:
        connection = self._connection
        if connection.life.is_lost or connection.transport.is_closing():
            return False
        socket = connection.transport.get_extra_info("socket")
        poll = select.poll()
        poll.register(socket.fileno(), 0)
        return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))


def is_short_over(elapsed: float, timeout: float) -> bool:
    """Whether an idle connection is to be closed at the first look, since its time is over and was less than two ticks.

    To be late twice would make three seconds of one. Whoever closes it asks the socket (`has_sent`): if the worker was
    held up, the next request waits there.
    """
    return 0 < timeout < 2 * _TICK_SECONDS and timeout <= elapsed + _CLOCK_SECONDS


def _is_queued(exchange: Exchange) -> bool:
    return exchange.job is not None and not exchange.job.started_at
