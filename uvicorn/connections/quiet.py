"""How long a connection has been idle, or closed on our side: the same for all versions of HTTP. Loop thread only."""

from __future__ import annotations

from typing import Final, Protocol

from uvicorn.connections.service import Service

__all__ = ["LINGER_SECONDS", "QuietTimes"]

LINGER_SECONDS: Final = 2.0  # as Gunicorn and Apache; time to read what a refused client still sends


class _Connection(Protocol):
    """What is looked at of a connection."""

    service: Service
    requests: int


class QuietTimes:
    """The times at which nothing is asked of a connection."""

    __slots__ = ("_connection", "_idle_since", "_linger_until", "_requests_seen")

    def __init__(self, connection: _Connection) -> None:
        self._connection: _Connection = connection
        self._idle_since: float = connection.service.loop.time()
        self._requests_seen = 0  # at the last look
        self._linger_until = 0.0

    def linger(self) -> None:
        """Read on for a while, then close."""
        self._linger_until = self._connection.service.loop.time() + LINGER_SECONDS

    def idle_seconds(self, now: float) -> float:
        """How long the connection has been idle; 0 until the first look after a request."""
        return now - self._idle_since if self._connection.requests == self._requests_seen else 0.0

    def lingering_seconds(self, now: float) -> float:
        """How long the connection has been closed on our side."""
        return max(0.0, now - (self._linger_until - LINGER_SECONDS)) if self._linger_until else 0.0
