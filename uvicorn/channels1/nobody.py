"""What a program sends whose layer is the memory of one process: it reaches nobody, as in Channels 1.

Management commands and Django's own tests do that without knowing, by the signals of models. The log says it once.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import Any, Final

from uvicorn.layers.handover import DONE

__all__ = ["Nobody"]

_log: Final = logging.getLogger("django.channels")


class Nobody:
    """An office that carries nothing."""

    url: Final = "local://"

    def __init__(self) -> None:
        self._is_told = False

    def add(self, group: str, member: str, joining: Any = None) -> Awaitable[Any]:
        """Do nothing: no reply channel is here."""
        return DONE

    def discard(self, group: str, member: str) -> Awaitable[Any]:
        """Do nothing."""
        return DONE

    def publish(self, group: str, content: dict[str, Any], immediately: bool, history: Any = None) -> Awaitable[Any]:
        """Drop a message."""
        return self._drop("group", group)

    def put(self, channel: str, content: dict[str, Any], immediately: bool, delay: float) -> Awaitable[Any]:
        """Drop a message."""
        return self._drop("channel", channel)

    def members(self, group: str) -> list[str]:
        """Return that there are none."""
        return []

    def _drop(self, kind: str, name: str) -> Awaitable[Any]:
        if not self._is_told:
            self._is_told = True
            _log.warning(
                "A message to the %s %s reaches nobody, nor do others that this program sends: CHANNEL_LAYERS has a "
                "layer in memory, and the server is another process. Have one of Redis, or name one for both with "
                "UVICORN_CHANNEL_LAYER",
                kind,
                name,
            )
        return DONE
