"""What `uvicorn.Server` is doing, for those who look at it from outside."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.command.serving import Serving

__all__ = ["ServerState"]


class ServerState:
    """What a server is doing, for those who look at it from outside.

    Attributes:
        default_headers: those that each response gets, encoded.
    """

    def __init__(self) -> None:
        self.default_headers: list[tuple[bytes, bytes]] = []
        self._serving: Serving | None = None
        self._seen_requests = 0

    @property
    def total_requests(self) -> int:
        """How many requests there were."""
        if self._serving is not None and self._serving.server is not None:
            self._seen_requests = self._serving.server.service.requests
        return self._seen_requests

    @property
    def connections(self) -> set[Any]:
        """The connections that are open."""
        if self._serving is None or self._serving.server is None:
            return set()
        service = self._serving.server.service
        return {*service.connections, *service.sockets}

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """The tasks of consumers that run on the loop."""
        if self._serving is None:
            return set()
        return {runner for _, runner in self._serving.dispatcher.running.calls() if isinstance(runner, asyncio.Task)}
