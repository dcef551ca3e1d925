"""From a connection to its socket: what each needs of the other while one becomes the other."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.sink import ReplySink
from uvicorn.connections.intake import Intake
from uvicorn.connections.pipeline import Pipeline
from uvicorn.connections.service import Service
from uvicorn.wire.reply import Fields

__all__ = ["Handshake", "Upgradable", "Upgraded"]


class Upgradable(Protocol):
    """What a handshake needs of its connection."""

    service: Service
    pipeline: Pipeline
    intake: Intake

    @property
    def transport(self) -> asyncio.Transport:
        """Where frames are written."""

    @property
    def place(self) -> str | None:
        """What the client has taken in `service.addresses`; None if that stays taken when the socket has ended."""

    @property
    def client_name(self) -> str:
        """The client's address, for the log."""

    def pause_writing(self) -> None:
        """The client is behind."""

    def resume_writing(self) -> None:
        """The client has caught up."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: nobody is left to answer."""


class Upgraded:
    """What a connection has become, as the server sees all connections: a socket of either kind."""

    __slots__ = ()

    transport: Any

    def make_way(self, state: str) -> None:
        """Do nothing: sockets are not closed for others."""

    def in_flight(self) -> tuple[Any, ...]:
        """Return no exchange: that of the handshake is its connection's."""
        return ()

    def cut(self) -> None:
        """Close at once, whatever is on its way."""
        self.transport.abort()


class Handshake(ReplySink, Protocol):
    """What a socket needs of the exchange of its handshake."""

    attended: Any  # what goes with the request, or None
    consumer: Consumer | None
    is_accepted: bool

    def accept(self, fields: Fields) -> None:
        """Open the socket: now, or when it is its turn."""

    def answer(self, status: int, detail: str = "", retry_after: int = 0, persists: bool = False) -> None:
        """Make a response of the server's own, which refuses the socket."""

    def refuse(self, status: int, reason: str, retry_after: int = 0, setting: str = "other") -> None:
        """Answer instead of the consumer, and close the connection."""

    def on_failed(self, error: BaseException) -> None:
        """The consumer has raised: it is answered for."""
