"""What the connections of a worker have done, counted on the way of a request. Written by the loop alone."""

from __future__ import annotations

from typing import Final

__all__ = ["CLIENT_LEFT", "Numbers"]

CLIENT_LEFT: Final = 499  # nginx's status for a client that closed before its answer began
_OK: Final = 200


class Numbers:
    """Counters of a worker, which only grow.

    Attributes:
        connections: how many were made.
        received_bytes, sent_bytes: from and to clients, framing included; with TLS what is inside of it.
        statuses: status -> responses that have begun, but for those in `ok`; 499 for those that never began.
        ok: responses with status 200: most of them, and so without a look-up.
        refused: reason -> requests that were refused, or cut off, because of a limit or a deadline.
    """

    __slots__ = ("connections", "ok", "received_bytes", "refused", "sent_bytes", "statuses")

    def __init__(self) -> None:
        self.connections = self.received_bytes = self.sent_bytes = self.ok = 0
        self.statuses: dict[int, int] = {}
        self.refused: dict[str, int] = {}

    def answered(self, status: int) -> None:
        """A response has begun."""
        if status == _OK:
            self.ok += 1
        else:
            self.statuses[status] = self.statuses.get(status, 0) + 1

    def refuse(self, reason: str) -> None:
        """A request was refused or cut off; `reason` is the setting that says so, or a word."""
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def by_status(self) -> dict[int, int]:
        """Return how many responses have begun, by status. Runs on: any thread."""
        return {_OK: self.ok, **self.statuses} if self.ok else dict(self.statuses)
