"""Whether a worker lives, has started, and is ready: three paths that the loop answers itself, before any queue.

    <path>/live      200: the loop turns, or there would be no answer
    <path>/startup   200: the worker has started, or it would not accept
    <path>/ready     200, or 503 while it stops, or is starved: a pool has been full, and its first job has waited for
                     longer than `max_wait`, for `grace` seconds. With "?all" every worker of the master is asked

A peer that is trusted, and passes on nobody else's request, gets numbers as JSON; others a word. Loop thread only.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.connections.front import Front
from uvicorn.connections.service import Application
from uvicorn.watching.board import Sheet
from uvicorn.watching.settings import HealthSettings

__all__ = ["Health", "Starvation", "reasons_of_all"]

_SILENT_SECONDS: Final = 5.0  # arbitrary: a worker that has told nothing for so long does not turn
_FORWARDED: Final = (b"x-forwarded-for", b"forwarded", b"x-real-ip", b"via")


class Starvation:
    """How long each pool has been full with a long wait. Looked at once a second."""

    def __init__(self, pools: Iterable[ConsumerPool], settings: HealthSettings, clock: Callable[[], float]) -> None:
        self._since: dict[ConsumerPool, float | None] = dict.fromkeys(pools)
        self._settings = settings
        self._clock = clock

    def tick(self) -> None:
        """Look at the pools."""
        now = self._clock()
        for pool, since in self._since.items():
            oldest = pool.oldest
            is_full = bool(oldest) and now - oldest > self._settings.max_wait and not pool.has_free_thread
            self._since[pool] = (now if since is None else since) if is_full else None

    def starved(self) -> list[str]:
        """Return the names of the pools for which the grace is over."""
        now, grace = self._clock(), self._settings.grace
        return [pool.name for pool, since in self._since.items() if since is not None and now - since >= grace]


class Health(Front):
    """An application that answers these paths, and has another one answer all others.

    Args:
        is_trusted: whether numbers are for a peer with this address; None for a unix socket.

    Attributes:
        reasons: returns why this worker is not ready; nothing if it is.
        sheets: returns what all workers of the master tell.
        numbers: returns what a trusted peer is told.
    """

    def __init__(
        self, settings: HealthSettings, application: Application, is_trusted: Callable[[str | None], bool]
    ) -> None:
        super().__init__(application)
        self.reasons: Callable[[], list[str]] = list
        self.sheets: Callable[[], list[Sheet]] = list
        self.numbers: Callable[[], dict[str, Any]] = dict
        self._is_trusted = is_trusted
        self._path = settings.path.rstrip("/")
        self._consumers = {f"{self._path}/{name}": Consumer(call) for name, call in (
            ("live", self._live), ("startup", self._startup), ("ready", self._ready),
        )}  # fmt: skip

    def find(self, channel: str, path: str, message: Mapping[str, Any] | None = None) -> Consumer | None:
        """Return the consumer for a message: one of ours, or the application's."""
        own = self._consumers.get(path) if channel == "http.request" else None
        return own or super().find(channel, path, message)

    async def _live(self, message: Any) -> None:
        self._answer(message, "live", [])

    async def _startup(self, message: Any) -> None:
        self._answer(message, "started", [])

    async def _ready(self, message: Any) -> None:
        reasons = self.reasons()
        if b"all" in message["query_string"].split(b"&"):
            reasons = reasons + reasons_of_all(self.sheets(), time.monotonic())
        self._answer(message, "ready", sorted(set(reasons)))

    def _answer(self, message: Any, word: str, reasons: list[str]) -> None:
        client = message["client"]
        is_direct = not any(name in _FORWARDED for name, _ in message["headers"])
        if reasons:
            word = f"not {word}"
        if is_direct and self._is_trusted(client[0] if client else None):
            kind, content = b"application/json", json.dumps({"status": word, "reasons": reasons, **self.numbers()})
        else:
            kind, content = b"text/plain; charset=utf-8", word
        message["reply_channel"].send(
            {
                "status": 503 if reasons else 200,
                "headers": [(b"content-type", kind), (b"cache-control", b"no-store")],
                "content": content.encode() + b"\n",
            }
        )


def reasons_of_all(sheets: Iterable[Sheet], now: float) -> list[str]:
    """Return why not all workers are ready, by what they tell of themselves.

    Args:
        now: time.monotonic(), which is the same in all processes of a machine.
    """
    reasons = []
    for sheet in sheets:
        if not sheet.pid:
            continue
        facts = sheet.facts
        if not facts.get("is_started"):
            reasons.append(f"worker {sheet.pid} has not started")
        elif now - facts.get("told_at", 0.0) > _SILENT_SECONDS:
            reasons.append(f"worker {sheet.pid} is silent")
        else:
            reasons += [f"worker {sheet.pid}: {reason}" for reason in facts.get("reasons", ())]
    return reasons
