"""The exchange of a request for a raw socket (`raw_socket.py`). Loop thread only."""

from __future__ import annotations

from typing import Protocol

from uvicorn.connections.exchange import Exchange
from uvicorn.connections.handshake import Awaiting, Handshake

__all__ = ["RawHandshake"]


class Looking(Awaiting, Protocol):
    """What it needs of its socket."""

    is_lost: bool  # the client has left, or the worker stops

    def look(self) -> None:
        """See whether the application has written, now."""


class RawHandshake(Handshake):
    """The exchange of the request, until the application has written to its end."""

    __slots__ = ("_raw",)

    def __init__(self, exchange: Exchange, raw: Looking) -> None:
        self._raw = raw
        super().__init__(exchange, raw)

    def become_first(self) -> None:
        """Let the application's bytes through: the answer is among them. Or write what was kept back."""
        if not self._is_due:
            super().become_first()
            return
        self._is_due = False
        self.socket.on_opened()

    def on_dropped(self, _: object = None) -> None:
        """The application has returned: if it has written before, the loop may not have seen that yet."""
        self._raw.look()
        super().on_dropped()

    def on_failed(self, error: BaseException) -> None:
        """It has raised; the same holds. To be told by an error that the client has left is no failure."""
        self._raw.look()
        if self._raw.is_lost and isinstance(error, (BrokenPipeError, ConnectionResetError)):
            self.carrier.service.log_of(self).debug("%s ended: %s: %s", self.consumer_name, self.shown_line, error)
            return
        super().on_failed(error)
