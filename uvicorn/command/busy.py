"""What is served while a server has more connections than `limit_concurrency`: 503, at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from uvicorn.bridge.consumer import Consumer
from uvicorn.connections.front import Front
from uvicorn.connections.service import Application

__all__ = ["ConcurrencyLimit"]

_OPENING: Final = ("http.request", "websocket.connect")  # what is there already goes on
_REPLY: Final[dict[str, Any]] = {
    "status": 503,
    "headers": [(b"content-type", b"text/plain; charset=utf-8"), (b"retry-after", b"1"), (b"connection", b"close")],
    "content": b"Service Unavailable",
}


class ConcurrencyLimit(Front):
    """An application that refuses what comes while there are too many connections. Loop thread only.

    Attributes:
        count: returns how many connections are open.
    """

    def __init__(self, application: Application, limit: int) -> None:
        super().__init__(application)
        self.count: Callable[[], int] = lambda: 0
        self._limit = limit
        self._refusal = Consumer(_refuse)

    def find(self, channel: str, path: str, message: Mapping[str, Any] | None = None) -> Consumer | None:
        """Return the consumer for a message, or one that refuses it."""
        if channel in _OPENING and self.count() > self._limit:
            return self._refusal
        return super().find(channel, path, message)


async def _refuse(message: Any) -> None:
    message["reply_channel"].send(_REPLY)
