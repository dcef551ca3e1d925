"""Django, where the application uses it: nothing here imports it on its own."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["around", "chosen_subprotocol", "has_sessions", "is_configured", "is_used"]


def is_used() -> bool:
    """Whether the application has imported Django, and its settings are there."""
    return "django.db" in sys.modules and is_configured()


def is_configured() -> bool:
    """Whether Django's settings are there, or can be."""
    conf = sys.modules.get("django.conf")
    return conf is not None and (bool(conf.settings.configured) or "DJANGO_SETTINGS_MODULE" in os.environ)


def has_sessions() -> bool:
    """Whether there is a store of sessions: Django is set up, and has what the engine of its settings needs."""
    if not is_used():
        return False
    from django.apps import apps
    from django.conf import settings

    if not apps.ready:
        return False
    engine = getattr(settings, "CHANNEL_SESSION_ENGINE", settings.SESSION_ENGINE)
    return apps.is_installed("django.contrib.sessions") or not engine.endswith("db")


def chosen_subprotocol(served: Mapping[str, Any]) -> str | None:
    """Return the first subprotocol that a client offers and CHANNELS_WS_PROTOCOLS has; None if there is none."""
    offered = served.get("subprotocols")
    if not offered or not is_configured():
        return None
    from django.conf import settings

    known = getattr(settings, "CHANNELS_WS_PROTOCOLS", None) or ()
    return next((name for name in offered if name in known), None)


@contextlib.contextmanager
def around(sender: Any, keeps_connections: bool = False) -> Iterator[None]:
    """Send `consumer_started` and `consumer_finished` around a call, which close old connections of the database.

    Args:
        keeps_connections: of the database: for a test, which is a transaction.
    """
    if not is_used():
        yield
        return
    from uvicorn.channels1.signals import connections_kept, consumer_finished, consumer_started

    with connections_kept() if keeps_connections else contextlib.nullcontext():
        consumer_started.send(sender=sender, environ={})
        try:
            yield
        finally:
            consumer_finished.send(sender=sender)
