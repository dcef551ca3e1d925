"""Django signals around each synchronous consumer, and at the start of a worker.

Old connections of the database are closed before and after each consumer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from django.db import close_old_connections, reset_queries
from django.dispatch import Signal

__all__ = ["connections_kept", "consumer_finished", "consumer_started", "worker_process_ready", "worker_ready"]

consumer_started: Final = Signal()  # environ
consumer_finished: Final = Signal()
worker_ready: Final = Signal()
worker_process_ready: Final = Signal()


def _close_old_connections(**kwargs: Any) -> None:
    if not _kept:
        close_old_connections()


def _reset_queries(**kwargs: Any) -> None:
    reset_queries()


_kept: Final[list[bool]] = []

consumer_started.connect(_reset_queries)
consumer_started.connect(_close_old_connections)
consumer_finished.connect(_close_old_connections)


@contextlib.contextmanager
def connections_kept() -> Iterator[None]:
    """Close no connection in the block: a test has a transaction open."""
    _kept.append(True)
    try:
        yield
    finally:
        _kept.pop()
