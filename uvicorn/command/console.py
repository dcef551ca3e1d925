"""What the `uvicorn` command shows of itself where Gunicorn's log is a terminal: the access line, and colours."""

from __future__ import annotations

import copy
import logging
import os
from typing import Any, Final

from uvicorn.command.formatters import paint_status

__all__ = ["ACCESS_FORMAT", "DefaultAccessLog", "colour_access", "settle_access", "wants_colours"]

_QUIET: Final = ("warning", "error", "critical")
#: Gunicorn's `access_log_format` of the command: client, request, status, how long it took, and on which side
ACCESS_FORMAT: Final = '%(h)s - "%(r)s" %(s)s %(M)s ms, %({consumer.mode}e)s'


class DefaultAccessLog(str):
    """The name of a file for the access log that nobody has given."""

    __slots__ = ()


def settle_access(cfg: Any) -> None:
    """Write no access line that nobody has asked for, if the log is configured otherwise, or is to say little."""
    is_configured = cfg.logconfig or cfg.logconfig_dict or cfg.logconfig_json or cfg.syslog
    if isinstance(cfg.accesslog, DefaultAccessLog) and (is_configured or cfg.loglevel.lower() in _QUIET):
        cfg.set("accesslog", None)


def wants_colours(stream: Any, use_colors: bool | None) -> bool:
    """Whether what is written there is to be coloured: as it was said, or where it is a terminal.

    Spec: https://no-color.org: NO_COLOR in the environment, not empty, switches colours off that nobody asked for.
    """
    if use_colors is not None:
        return use_colors
    try:
        return not os.environ.get("NO_COLOR") and bool(stream.isatty())
    except (AttributeError, ValueError):  # no file, or closed
        return False


def colour_access(log: Any, access_format: str, use_colors: bool | None) -> None:
    """Have Gunicorn's access log show the command's own format in colours, where it is written to a terminal."""
    if access_format != ACCESS_FORMAT:
        return
    for handler in getattr(getattr(log, "access_log", None), "handlers", ()):
        if wants_colours(getattr(handler, "stream", None), use_colors):
            handler.setFormatter(_AccessColours())


class _AccessColours(logging.Formatter):
    """A formatter of Gunicorn's records, whose arguments are the atoms of the format."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record. Other handlers see the record as it was."""
        atoms: Any = record.args
        if isinstance(atoms, dict) and str(atoms.get("s", "")).isdigit():
            record = copy.copy(record)
            painted = copy.copy(atoms)
            painted.update(s=paint_status(str(atoms["s"])), r=f"\033[1m{atoms['r']}\033[0m")
            record.args = painted
        return super().format(record)
