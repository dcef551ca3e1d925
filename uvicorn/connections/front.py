"""What stands in front of an application, and answers some of its messages itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from uvicorn.bridge.consumer import Consumer
from uvicorn.connections.service import Application

__all__ = ["Front"]


class Front:
    """An application before another one, which finds all that a subclass does not. Loop thread only."""

    def __init__(self, application: Application) -> None:
        self.only: Consumer | None = None  # or nobody would ask `find`
        self.by_content: bool = application.by_content
        self._application: Final = application

    def find(self, channel: str, path: str, message: Mapping[str, Any] | None = None) -> Consumer | None:
        """Return the consumer for a message, as the other application would have been asked for it."""
        if channel == "http.disconnect" and self._application.only is not None:
            return None  # it is for routes
        return self._application.find(channel, path, message)
