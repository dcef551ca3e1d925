"""What `Serving` is told: what it asks of our settings, and the few things that its caller alone knows."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from uvicorn.command.attending_settings import AttendingSettings
from uvicorn.command.layer_settings import LayerSettings
from uvicorn.command.threads import ThreadSettings
from uvicorn.watching.settings import WatchSettings
from uvicorn.wire.limits import Limits

__all__ = ["Frame", "ServingSettings"]


class ServingSettings(ThreadSettings, Protocol):
    """What is asked of the settings."""

    @property
    def limits(self) -> Limits:
        """What bounds a client."""

    @property
    def stuck_after(self) -> float:
        """Seconds without a sign of life; 0 for never."""

    @property
    def server_header(self) -> str:
        """The value of the `server` field; empty for none."""

    @property
    def headers(self) -> Iterable[tuple[str, str]]:
        """Further fields of each response."""

    @property
    def date_header(self) -> bool:
        """Whether there is a `date` field."""

    @property
    def watch(self) -> WatchSettings:
        """What is watched."""

    @property
    def attending(self) -> AttendingSettings:
        """What goes with each request."""

    @property
    def limit_concurrency(self) -> int:
        """Open connections past which requests are answered with 503; 0 for no limit."""

    @property
    def layer(self) -> LayerSettings:
        """Groups and channels."""


class Frame(NamedTuple):
    """What a server is told besides the values of our settings.

    Attributes:
        threads: of the pool without a name.
        are_threads_given: somebody has set it to more than 1.
        connections: the most that are open at a time.
        lifespan: "auto", "on" or "off".
        upload_folder: for large bodies; None for the system's.
        shows_errors: put tracebacks into 500 responses (`--reload`).
        most_requests: from so many on `on_most_requests` is called.
        is_alone: the process does nothing else than to serve.
        layer_place: the directory in which the workers of one master find each other; None for this process alone.
    """

    threads: int
    are_threads_given: bool
    connections: int
    lifespan: str
    root_path: str = ""
    upload_folder: str | None = None
    shows_errors: bool = False
    most_requests: int = sys.maxsize
    is_alone: bool = True
    layer_place: str | None = None
