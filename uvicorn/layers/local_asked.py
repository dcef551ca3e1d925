"""What the other processes ask of a local layer, or tell it (`local_peers.py`)."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

__all__ = ["Asked"]


class Asked(Protocol):
    """A local layer."""

    def greeting(self) -> tuple[list[str], list[str]]:
        """Return the groups of which we have members, and the channels that we consume."""

    def on_message(self, group: str, content: dict[str, Any]) -> None:
        """A message of a group has come."""

    def on_kept(self, group: str, epoch: str, offset: int, packed: bytes) -> None:
        """A message of a group with a history has come."""

    def on_peers_changed(self) -> None:
        """A process has come, or gone: it may have kept messages of which it has told nobody."""

    def on_request(self, kind: str, channel: str, content: Any) -> Awaitable[Any]:
        """Another process asks something of one of our reply channels; done when it holds."""

    def on_gap(self, missed: Mapping[str, int | None]) -> None:
        """Messages to us were dropped: group -> how many; None if nobody knows."""

    def names_in(self, group: str) -> list[str]:
        """Return the names of the members of a group that this process has."""

    def on_offer(self, channel: str, id: str, content: bytes, delay: float) -> bool:
        """Another process has a message of a channel; return whether we take it."""

    def on_consumers(self, channel: str) -> None:
        """A process consumes a channel from now on."""

    def on_program(self, kind: str, name: str, content: Any, delay: float) -> Awaitable[Any]:
        """A program that is no server asks for something: PUBLISH, KEEP, SEND, ADD or DISCARD."""
