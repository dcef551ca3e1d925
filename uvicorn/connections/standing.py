"""What one connection is doing, for who has to choose among all of them, and how it is closed for others.

Asked for once a second at most, while all connections are open. Loop thread only.
"""

from __future__ import annotations

from typing import Protocol

from uvicorn.connections.crowding import CLOSING, EVENTS, IDLE, NEW, SENDING, TAKING, WAITING, Standing
from uvicorn.connections.life import LINGERING
from uvicorn.connections.pace import drop, is_event_stream
from uvicorn.connections.watch import ConnectionWatch, Watched
from uvicorn.errors import ClientError

__all__ = ["make_way", "standing_of"]


class Standable(Watched, Protocol):
    """What is looked at, and done, of a connection."""

    watch: ConnectionWatch

    def cut(self) -> None:
        """Close at once, whatever is on its way."""


def standing_of(connection: Standable, now: float) -> Standing:
    """Find out what a connection is doing."""
    pipeline, watch = connection.pipeline, connection.watch
    exchanges = pipeline.exchanges
    taking = watch.taking
    if taking is not None and pipeline.buffered_bytes() and (not exchanges or exchanges[0].status):
        if taking.exchange is not None and is_event_stream(taking.exchange):
            return Standing(EVENTS)
        return Standing(TAKING, taking.meter.seconds, taking.meter.rate, taking.is_declared)
    if connection.life.state == LINGERING or connection.transport.is_closing():
        return Standing(CLOSING, watch.lingering_seconds(now))
    body, sending = connection.body, watch.sending
    if not exchanges and body is None:
        if watch.head_since:
            return Standing(NEW, now - watch.head_since)
        return Standing(IDLE if connection.requests else NEW, watch.idle_seconds(now), is_silent=True)
    if exchanges and exchanges[0].status and is_event_stream(exchanges[0]):
        return Standing(EVENTS)
    if body is None or len(exchanges) > 1 or not body.is_awaited:
        return Standing(WAITING)
    if sending is None or sending.body is not body:
        return Standing(SENDING)
    return Standing(SENDING, sending.meter.seconds, sending.meter.rate, sending.is_declared)


def make_way(connection: Standable, state: str) -> None:
    """Close a connection, so that its place is free at once."""
    connection.service.numbers.refuse("worker_connections")
    if state == SENDING and connection.pipeline.exchanges:  # it may read the answer: all that it has sent was read
        connection.refuse(ClientError(503, "closed for others: all connections are open, and this client is slow"))
        connection.transport.close()
    elif state in (IDLE, NEW) and connection.transport.can_write_eof():
        connection.transport.close()
    elif state == TAKING:
        drop(connection)
    else:  # with TLS, closing waits for the client
        connection.cut()
