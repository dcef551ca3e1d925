"""How `uvicorn.run` writes its log: formatters for `logging`, with colours on a terminal."""

from __future__ import annotations

import copy
import http
import logging
import sys
from typing import Any, Final, Literal

__all__ = [
    "TRACE_LOG_LEVEL",
    "AccessFormatter",
    "ColourizedFormatter",
    "DefaultFormatter",
    "paint_level",
    "paint_status",
]

TRACE_LOG_LEVEL: Final = 5

_LEVELS: Final = {
    TRACE_LOG_LEVEL: "34", logging.DEBUG: "36", logging.INFO: "32", logging.WARNING: "33", logging.ERROR: "31",
    logging.CRITICAL: "91",
}  # fmt: skip
_STATUSES: Final = {1: "97", 2: "32", 3: "33", 4: "31", 5: "91"}  # by the first digit


def _painted(text: str, *codes: str) -> str:
    return f"\033[{';'.join(codes)}m{text}\033[0m"


def paint_status(text: str) -> str:
    """Return a text that begins with a status in the colour of that."""
    code = _STATUSES.get(int(text[0]))
    return text if code is None else _painted(text, code)


def paint_level(name: str, number: int) -> str:
    """Return the name of a level in its colour."""
    code = _LEVELS.get(number)
    return name if code is None else _painted(name, code)


class ColourizedFormatter(logging.Formatter):
    """A formatter with `%(levelprefix)s`: the level, a colon, and as many spaces as make all of them equally wide.

    A record may bring `color_message`, a text of its own for terminals.

    Args:
        use_colors: None for what `should_use_colors` says.
    """

    def __init__(
        self,
        fmt: str | None = None,
        datefmt: str | None = None,
        style: Literal["%", "{", "$"] = "%",
        use_colors: bool | None = None,
    ) -> None:
        self.use_colors = self.should_use_colors() if use_colors is None else use_colors
        super().__init__(fmt=fmt, datefmt=datefmt, style=style)

    def should_use_colors(self) -> bool:
        """Whether what is written goes to a terminal."""
        return sys.stdout.isatty()

    def color_level_name(self, level_name: str, level_no: int) -> str:
        """Return the name of a level in its colour."""
        return paint_level(level_name, level_no)

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Format a record. Other handlers see the record as it was."""
        record = copy.copy(record)
        name = record.levelname
        space = " " * (8 - len(name))
        if self.use_colors:
            name = self.color_level_name(name, record.levelno)
            if "color_message" in record.__dict__:
                record.msg = record.__dict__["color_message"]
                record.__dict__["message"] = record.getMessage()
        record.__dict__["levelprefix"] = f"{name}:{space}"
        return super().formatMessage(record)


class DefaultFormatter(ColourizedFormatter):
    """The formatter of all but the access log."""

    def should_use_colors(self) -> bool:
        """Whether what is written goes to a terminal."""
        return sys.stderr.isatty()


class AccessFormatter(ColourizedFormatter):
    """The formatter of the access log.

    A record's arguments are the client's address, the method, the path with its query, the HTTP version and the status.
    It has `client_addr`, `method`, `full_path`, `http_version`, `status_code`, `request_line`, and `took`: how long it
    took and on which side, as " 12 ms, thread", or nothing for records of others.
    """

    def get_status_code(self, status_code: int) -> str:
        """Return a status with its reason, in its colour."""
        try:
            phrase = http.HTTPStatus(status_code).phrase
        except ValueError:
            phrase = "Client Left" if status_code == 499 else ""
        text = f"{status_code} {phrase}"
        return paint_status(text) if self.use_colors else text

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Format a record. Other handlers see the record as it was."""
        record = copy.copy(record)
        arguments: Any = record.args
        client_addr, method, full_path, http_version, status_code = arguments
        line = f"{method} {full_path} HTTP/{http_version}"
        took = ""
        if "duration_ms" in record.__dict__:
            took = f" {record.__dict__['duration_ms']:.0f} ms, {record.__dict__.get('side', 'loop')}"
        record.__dict__.update(
            client_addr=client_addr,
            method=method,
            full_path=full_path,
            http_version=http_version,
            status_code=self.get_status_code(int(status_code)),
            request_line=_painted(line, "1") if self.use_colors else line,
            took=_painted(took, "2") if took and self.use_colors else took,
        )
        return super().formatMessage(record)
