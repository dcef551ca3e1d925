"""The formatters of the log, by the names that configurations of `logging` use."""

from uvicorn.command.formatters import TRACE_LOG_LEVEL, AccessFormatter, ColourizedFormatter, DefaultFormatter

__all__ = ["TRACE_LOG_LEVEL", "AccessFormatter", "ColourizedFormatter", "DefaultFormatter"]
