"""The formatters of the log, and the id of the current request, by the names that configurations of `logging` use."""

from uvicorn.command.formatters import TRACE_LOG_LEVEL, AccessFormatter, ColourizedFormatter, DefaultFormatter
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
