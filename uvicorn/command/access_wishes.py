"""What an application has asked of the released package's logger `uvicorn.access`, for Gunicorn's access log.

The released package writes its access lines there, so that is where applications hide those of health checks (a
filter), silence them (a level) or send them elsewhere (handlers). Gunicorn's are written by `gunicorn.access`. A filter
of that logger asks the other one, for each line: what is asked may be said at any time.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from uvicorn.command.console import DefaultAccessLog
from uvicorn.command.standard_log import LINE

__all__ = ["heed_wishes"]

_NAME: Final = "uvicorn.access"


def heed_wishes(log: Any, accesslog: Any) -> None:
    """Have the access log of a Gunicorn logger do what is asked of `uvicorn.access`. Idempotent.

    Args:
        accesslog: Gunicorn's setting.
    """
    logger = getattr(log, "access_log", None)
    if not isinstance(logger, logging.Logger) or logger.name == _NAME:
        return
    for old in [one for one in logger.filters if isinstance(one, _Wishes)]:
        logger.removeFilter(old)
    logger.addFilter(_Wishes(isinstance(accesslog, DefaultAccessLog)))


class _Wishes(logging.Filter):
    """What lets a line pass, or not.

    Args:
        is_default: nobody has asked for Gunicorn's line: handlers of the application get theirs instead.
    """

    def __init__(self, is_default: bool) -> None:
        super().__init__()
        self._is_default = is_default

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line of a request is to be written here."""
        logger = logging.getLogger(_NAME)
        if logger.disabled or logger.level > record.levelno:
            return False
        atoms: Any = record.args
        if not (logger.filters or logger.handlers) or not isinstance(atoms, dict) or "{raw_uri}e" not in atoms:
            return True
        theirs = _as_theirs(logger, atoms)
        if not logger.filter(theirs):
            return False
        for handler in logger.handlers:
            if theirs.levelno >= handler.level:
                handler.handle(theirs)
        return not (self._is_default and logger.handlers)


def _as_theirs(logger: logging.Logger, atoms: dict[str, Any]) -> logging.LogRecord:
    """Return the record that the released package would have written. `atoms` are Gunicorn's, with quotes escaped."""

    def atom(name: str) -> str:
        return str(atoms.get(name, "")).replace('\\"', '"')

    port = atom("{remote_port}e")
    arguments = (
        f"{atom('{remote_addr}e')}:{port}" if port else "",
        atom("m"),
        atom("{raw_uri}e"),
        atom("H").rpartition("/")[2],
        int(atom("s")),
    )
    side = "thread" if atom("{consumer.mode}e") == "pool" else "loop"
    more = {"duration_ms": float(atoms.get("D", 0)) / 1000, "side": side}
    return logger.makeRecord(_NAME, logging.INFO, __file__, 0, LINE, arguments, None, extra=more)
