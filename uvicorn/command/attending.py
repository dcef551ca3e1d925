"""What goes with each request, as the settings say."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any

from uvicorn.bridge.outbox import Log
from uvicorn.command.attending_settings import AttendingSettings
from uvicorn.command.log_records import carry_request_ids
from uvicorn.connections.attendants import Attendant, Attendants
from uvicorn.watching.request_ids import RequestIds

__all__ = ["make_attendants"]


def make_attendants(
    settings: AttendingSettings, context: contextvars.Context, report: Callable[[Any], None] | None, log: Log
) -> Attendants | None:
    """Return what goes with each request; None if nothing does.

    Args:
        context: that in which all calls begin.
        report: what is called with each exchange that has ended, or None.
    """
    attendants: list[Attendant] = []
    if settings.request_id:
        carry_request_ids()
        attendants.append(RequestIds())
    return Attendants(attendants, context, report, log) if attendants else None
