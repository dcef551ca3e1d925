"""What goes with each request, as the settings say."""

from __future__ import annotations

import contextvars
import importlib.util
from collections.abc import Callable
from typing import Any

from uvicorn.bridge.outbox import Log
from uvicorn.command.attending_settings import AttendingSettings
from uvicorn.connections.attendants import Attendant, Attendants, Attended

__all__ = ["attended_message", "check_attending", "make_attendants"]


def check_attending(settings: AttendingSettings) -> None:
    """Raise RuntimeError, with one sentence, for what cannot be had here."""
    if settings.otel and not _has_opentelemetry():
        raise RuntimeError("otel needs opentelemetry-api: pip install uvicorn[otel]")


def make_attendants(
    settings: AttendingSettings, context: contextvars.Context, report: Callable[[Any], None] | None, log: Log
) -> Attendants | None:
    """Return what goes with each request; None if nothing does.

    Args:
        context: that in which all calls begin.
        report: what is called with each exchange that has ended, or None.

    Raises: as `check_attending`.
    """
    check_attending(settings)
    attendants: list[Attendant] = []
    if settings.request_id:
        from uvicorn.command.log_records import carry_request_ids  # here and below: where the setting is on
        from uvicorn.watching.request_ids import RequestIds

        carry_request_ids()
        attendants.append(RequestIds())
    if settings.request_start:
        from uvicorn.watching.upstream import UpstreamTimes

        attendants.append(UpstreamTimes())
    if settings.otel:
        attendants.append(_make_tracing(log))
    return Attendants(attendants, context, report, log) if attendants else None


def attended_message(context: contextvars.Context, request_id: str) -> Attended | None:
    """Return what goes with the call for a message that a request has sent; None if that is no id of a request.

    Args:
        context: that in which all calls begin.
    """
    from uvicorn.watching.request_ids import current_request_id, is_request_id

    if not is_request_id(request_id.encode("utf-8", "replace")):
        return None
    attended = Attended(context.copy())
    attended.request_id = request_id
    attended.context.run(current_request_id.set, request_id)
    return attended


def _make_tracing(log: Log) -> Attendant:
    from uvicorn.command.log_records import carry
    from uvicorn.watching import tracing  # it needs OpenTelemetry

    if not tracing.is_configured():
        log.warning(
            "otel is on, and no provider of spans is set, so none are recorded: set one in the application, or start "
            "with opentelemetry-instrument"
        )
    carry("trace_id", tracing.trace_id)
    carry("span_id", tracing.span_id)
    return tracing.Tracing()


def _has_opentelemetry() -> bool:
    try:
        return importlib.util.find_spec("opentelemetry.propagate") is not None
    except ImportError:
        return False
