"""Our settings for what goes with each request, and for how the log is written: one class each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, NamedTuple

from uvicorn.command.log_names import FORMATS
from uvicorn.command.setting_types import OurSetting, on_or_off, one_of

__all__ = ["ATTENDING_SETTINGS", "AttendingSettings", "attending_settings"]

_one_of_formats = one_of("log_format", *FORMATS)


def log_format(value: Any) -> str:
    """Validate the name of a preset. Raises: ValueError."""
    return _one_of_formats("colour" if value == "color" else value)


class LogFormat(OurSetting):
    name = "log_format"
    cli: ClassVar = ["--log-format"]
    meta = "NAME"
    validator = log_format
    default = "text"
    desc = """\
        How the log is written: ``text``, ``colour`` (or ``color``): the same with colours, also where it is no
        terminal; or ``json``: one object a line.

        It has no effect where the log is configured otherwise (``logconfig``, ``logconfig_dict``, ``logconfig_json``,
        ``syslog``): name ``uvicorn.logging.JSONFormatter`` there.
        """


class RequestId(OurSetting):
    name = "request_id"
    is_switch = True
    cli: ClassVar = ["--request-id"]
    validator = on_or_off("request_id")
    default = False
    desc = """\
        Give each request an id: that of ``X-Request-ID``, if a peer in ``forwarded_allow_ips`` sends one, and
        otherwise one that is made.

        It is in the message, in the response, in the access log, and in every line that is logged for the request.
        """


class Otel(OurSetting):
    name = "otel"
    is_switch = True
    cli: ClassVar = ["--otel"]
    validator = on_or_off("otel")
    default = False
    desc = """\
        Make spans and metrics of OpenTelemetry for requests and sockets.

        They go where the application, or ``opentelemetry-instrument``, has them go. It needs ``opentelemetry-api``:
        ``pip install uvicorn[otel]``.
        """


class RequestStart(OurSetting):
    name = "request_start"
    is_switch = True
    cli: ClassVar = ["--request-start"]
    validator = on_or_off("request_start")
    default = False
    desc = """\
        Measure how long requests were on their way from a trusted proxy, by its ``X-Request-Start``.

        It is among the numbers (``upstream_seconds``) and in the access log (``%({upstream.wait}e)s``).
        """


ATTENDING_SETTINGS: Final = (LogFormat, RequestId, Otel, RequestStart)


class AttendingSettings(NamedTuple):
    """What goes with each request."""

    request_id: bool = False
    otel: bool = False
    request_start: bool = False


def attending_settings(ours: Mapping[str, Any]) -> AttendingSettings:
    """Return what these settings say."""
    return AttendingSettings(ours["request_id"], ours["otel"], ours["request_start"])
