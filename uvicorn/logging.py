"""The formatters of the log, and the id of the current request, by the names that configurations of `logging` use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from uvicorn.command.formatters import TRACE_LOG_LEVEL, AccessFormatter, ColourizedFormatter, DefaultFormatter

if TYPE_CHECKING:
    from uvicorn.command.log_formats import JSONFormatter
    from uvicorn.command.log_records import current_request_id

__all__ = [
    "TRACE_LOG_LEVEL",
    "AccessFormatter",
    "ColourizedFormatter",
    "DefaultFormatter",
    "JSONFormatter",
    "current_request_id",
]

_LATER = {
    "JSONFormatter": "uvicorn.command.log_formats",
    "current_request_id": "uvicorn.command.log_records",
}


def __getattr__(name: str) -> Any:
    """Import what few configurations name, when one does: each server begins with this module."""
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
