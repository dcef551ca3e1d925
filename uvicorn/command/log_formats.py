"""The presets of `log_format`: text, colour and json, for logs that nobody has configured otherwise.

    JSONFormatter    one object a line; for configurations of the application's own, too
    WithId           another formatter's line, with the id of the request
    Coloured         another formatter's line, with its level in colours

`dress` gives them to the handlers that Gunicorn, or `uvicorn.run`, has made.
"""

from __future__ import annotations

import copy
import datetime
import json
import logging
import math
from collections.abc import Iterable
from typing import Any, Final

from uvicorn.command.formatters import ColourizedFormatter, paint_level
from uvicorn.command.log_names import COLOUR, JSON
from uvicorn.command.log_records import carried

__all__ = ["Coloured", "JSONFormatter", "WithId", "dress", "naked"]

# What every record has; what else is there was given as `extra`.
_USUAL: Final = frozenset(logging.makeLogRecord({}).__dict__) | {
    "message", "asctime", "color_message", "taskName", "request_id", "trace_id", "span_id",
}  # fmt: skip
#: atom of Gunicorn's access log -> key, and what makes its value
_ATOMS: Final = (
    ("h", "client"), ("m", "method"), ("U", "path"), ("q", "query"), ("H", "protocol"), ("s", "status"),
    ("B", "bytes"), ("f", "referer"), ("a", "user_agent"),
    ("{consumer.name}e", "consumer"), ("{consumer.mount}e", "mount"), ("{consumer.mode}e", "side"),
    ("{consumer.thread}e", "thread"),
)  # fmt: skip
#: likewise, in microseconds, to be told in milliseconds
_TIMES: Final = (
    ("D", "duration_ms"),
    ("{consumer.wait}e", "wait_ms"),
    ("{consumer.run}e", "run_ms"),
    ("{upstream.wait}e", "upstream_ms"),
)


class JSONFormatter(logging.Formatter):
    """One JSON object for each record, on one line.

    Keys: `time` (UTC, ISO 8601), `level`, `logger`, `pid`, `message`; `request_id`, and `trace_id` and `span_id`, where
    there are any; `exception` and `stack`, with their line breaks escaped; what was given as `extra`; and of a line of
    the access log `client`, `method`, `path`, `query`, `protocol`, `status`, `bytes`, `referer`, `user_agent`,
    `consumer`, `mount`, `side`, `thread`, `duration_ms`, `wait_ms`, `run_ms`, `upstream_ms`. What is empty is left out.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the object. A value that JSON does not know is told by its `str`."""
        made = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc)
        line: dict[str, Any] = {
            "time": made.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
            **carried(record),
        }
        line.update({name: value for name, value in _more_of(record).items() if name not in line})
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            line["exception"] = record.exc_text
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        try:
            return json.dumps(line, default=str, allow_nan=False)
        except (TypeError, ValueError):  # keys that are no texts, a circle, or what JSON has no number for
            return json.dumps({name: value if _is_plain(value) else str(value) for name, value in line.items()})


class WithId(logging.Formatter):
    """Another formatter's line, with the id of the request in front of the message, or at the end of the line."""

    def __init__(self, inner: logging.Formatter, is_last: bool = False) -> None:
        super().__init__()
        self._inner: Final = inner
        self._is_last: Final = is_last

    def format(self, record: logging.LogRecord) -> str:
        """Format a record. Other handlers see the record as it was."""
        message = record.getMessage()
        known = carried(record).get("request_id")
        if known is None:
            return self._inner.format(record)
        if self._is_last:
            return f"{self._inner.format(record)} {known}"
        record = copy.copy(record)
        record.msg, record.args = f"[{known}] {message}", None
        return self._inner.format(record)


class Coloured(logging.Formatter):
    """Another formatter's line, with the level in its colour."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner: Final = inner

    def format(self, record: logging.LogRecord) -> str:
        """Format a record. Other handlers see the record as it was."""
        record = copy.copy(record)
        record.levelname = paint_level(record.levelname, record.levelno)
        return self._inner.format(record)


def dress(
    error: Iterable[logging.Handler],
    access: Iterable[logging.Handler],
    log_format: str,
    has_ids: bool,
    is_own_line: bool = False,
) -> None:
    """Give the handlers of a log the formatters of a preset. Idempotent.

    Args:
        error, access: the handlers of all but the access log, and of that.
        has_ids: requests have ids.
        is_own_line: the line of the access log is the one that we have made up, and may be longer.
    """
    for handler in (*error, *_last_resort()):
        handler.setFormatter(_dressed(naked(handler.formatter), log_format, has_ids, False))
    for handler in access:
        own = naked(handler.formatter)
        if log_format == JSON:
            handler.setFormatter(JSONFormatter())
        elif isinstance(own, ColourizedFormatter) and log_format == COLOUR:
            own.use_colors = True
        if log_format != JSON and has_ids and is_own_line:
            handler.setFormatter(WithId(own, is_last=True))


def _dressed(formatter: logging.Formatter, log_format: str, has_ids: bool, is_last: bool) -> logging.Formatter:
    if log_format == JSON:
        return JSONFormatter()
    if log_format == COLOUR:
        if isinstance(formatter, ColourizedFormatter):
            formatter.use_colors = True
        else:
            formatter = Coloured(formatter)
    return WithId(formatter, is_last) if has_ids else formatter


def naked(formatter: logging.Formatter | None) -> logging.Formatter:
    """Return what was there before we came."""
    while isinstance(formatter, (WithId, Coloured)):
        formatter = formatter._inner
    return formatter or logging.Formatter()


def _last_resort() -> tuple[logging.Handler, ...]:
    """Return what writes the lines of loggers that nobody has configured."""
    return () if logging.lastResort is None else (logging.lastResort,)


def _more_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a record has of its own: `extra`, and the parts of a line of the access log."""
    more = {name: value for name, value in record.__dict__.items() if name not in _USUAL and not name.startswith("_")}
    atoms: Any = record.args
    if isinstance(atoms, dict) and "{consumer.mode}e" in atoms:
        more.update(_atoms_of(atoms))
    elif record.name == "uvicorn.access" and isinstance(atoms, tuple) and len(atoms) == 5:
        client, method, target, version, status = atoms
        path, _, query = str(target).partition("?")
        parts = (("client", client), ("method", method), ("path", path), ("query", query))
        more.update({name: value for name, value in parts if value})
        more.update(protocol=f"HTTP/{version}", status=status)
    return more


def _atoms_of(atoms: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for atom, name in _ATOMS:
        value = atoms.get(atom)
        if isinstance(value, str):
            value = value.replace('\\"', '"')  # as Gunicorn has escaped it
        if value not in ("", "-", None):
            found[name] = int(value) if name == "status" and str(value).isdigit() else value
    for atom, name in _TIMES:
        value = atoms.get(atom)
        if isinstance(value, int):
            found[name] = value / 1000
    return found


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))
