"""`logging`'s loggers where Gunicorn's logger is expected, and the line of a request in the access log."""

from __future__ import annotations

import logging
from typing import Any, Final

from uvicorn.command.formatters import TRACE_LOG_LEVEL
from uvicorn.command.log_setup import configure
from uvicorn.connections.exchange import Exchange

__all__ = ["LINE", "AccessLog", "StandardLog"]

LINE: Final = '%s - "%s %s HTTP/%s" %d'  # of the access log; formatters and filters of others expect these arguments
_CLIENT_LEFT: Final = 499


class AccessLog:
    """What reports exchanges to the logger `uvicorn.access`."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("uvicorn.access")

    @staticmethod
    def wanted() -> bool:
        """Whether a line would be written anywhere."""
        logger = logging.getLogger("uvicorn.access")
        return logger.hasHandlers() and logger.isEnabledFor(logging.INFO)

    def __call__(self, exchange: Exchange) -> None:
        """Report an exchange that is over, complete or not. Runs on: the loop."""
        line = exchange.request_line
        # A trusted proxy may have said who the client is.
        client = line.client or exchange.carrier.addresses()[0]
        seconds = max(0.0, exchange.carrier.service.clock() - exchange.started_at)
        write_line(
            self._logger,
            f"{client[0]}:{client[1]}" if client else "",
            line.method,
            line.shown_target,
            line.http_version,
            exchange.status or _CLIENT_LEFT,
            1000.0 * seconds,
            "loop" if exchange.job is None else "thread",
        )


def write_line(
    logger: logging.Logger,
    client: str,
    method: str,
    target: str,
    http_version: str,
    status: int,
    duration_ms: float,
    side: str,
) -> None:
    """Write a line of the access log."""
    logger.info(
        LINE,
        client,
        method,
        target,
        http_version,
        status,
        extra={"duration_ms": duration_ms, "side": side},
    )


class StandardLog:
    """A logger class for Gunicorn that writes to `logging`'s loggers `uvicorn.error` and `uvicorn.access`.

    Attributes:
        options: the arguments of `log_setup.configure`; set by `with_options`.
    """

    options: dict[str, Any] = {}

    def __init__(self, cfg: Any) -> None:
        self.cfg = cfg
        self.error_log = logging.getLogger("uvicorn.error")
        self.access_log = logging.getLogger("uvicorn.access")
        self.setup(cfg)

    @classmethod
    def with_options(cls, **options: Any) -> type[StandardLog]:
        """Return a logger class that configures `logging` so."""
        return type("ConfiguredLog", (cls,), {"options": options, "__module__": cls.__module__})

    @property
    def loglevel(self) -> int:
        """The level that is in effect."""
        return self.error_log.getEffectiveLevel()

    @property
    def access_log_enabled(self) -> bool:
        """Whether anybody reads the access log."""
        return bool(self.options.get("access_log", True))

    def setup(self, cfg: Any) -> None:
        """Configure `logging`. Called by Gunicorn, also when it reloads."""
        configure(**self.options)

    def critical(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Write a line."""
        self.error_log.critical(msg, *args, **kwargs)

    def error(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Write a line."""
        self.error_log.error(msg, *args, **kwargs)

    def warning(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Write a line."""
        self.error_log.warning(msg, *args, **kwargs)

    def info(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Write a line."""
        self.error_log.info(msg, *args, **kwargs)

    def debug(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Write a line."""
        self.error_log.debug(msg, *args, **kwargs)

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Write a line, and the traceback of the exception that is being handled."""
        self.error_log.exception(msg, *args, **kwargs)

    def log(self, level: int | str, msg: str, *args: Any, **kwargs: Any) -> None:
        """Write a line of this level: a number, or a name."""
        if isinstance(level, str):
            level = {"trace": TRACE_LOG_LEVEL}.get(level.lower(), logging.getLevelName(level.upper()))
        self.error_log.log(level, msg, *args, **kwargs)  # type: ignore[arg-type]  # a number by now

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: Any) -> None:
        """Write the line of a request. Called by what reports to Gunicorn's logger."""
        client = f"{environ['REMOTE_ADDR']}:{environ['REMOTE_PORT']}" if environ.get("REMOTE_ADDR") else ""
        write_line(
            self.access_log,
            client,
            environ["REQUEST_METHOD"],
            environ["RAW_URI"],
            environ["SERVER_PROTOCOL"].rpartition("/")[2],
            int(str(resp.status).partition(" ")[0]),
            1000.0 * request_time.total_seconds(),
            "thread" if environ.get("consumer.mode") == "pool" else "loop",
        )

    def reopen_files(self) -> None:
        """Open all files of the log again: somebody may have moved them."""
        for handler in _handlers():
            if isinstance(handler, logging.FileHandler):
                handler.acquire()
                try:
                    if handler.stream is not None:
                        handler.close()
                        handler.stream = handler._open()
                finally:
                    handler.release()

    def close_on_exec(self) -> None:
        """Do nothing: Python's files are not inherited."""


def _handlers() -> list[logging.Handler]:
    names = ("", "uvicorn", "uvicorn.error", "uvicorn.access")
    return [handler for name in names for handler in logging.getLogger(name or None).handlers]
