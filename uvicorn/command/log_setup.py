"""The log of `uvicorn.run` and `uvicorn.Server`: `logging`'s own loggers, by the names that others configure.

uvicorn           the parent of both
uvicorn.error     all but the access log; the name is a historical one
uvicorn.access    a line for each request
"""

from __future__ import annotations

import json
import logging
import logging.config
import os
from configparser import RawConfigParser
from typing import IO, Any, Final

from uvicorn.command.formatters import TRACE_LOG_LEVEL

__all__ = ["LOGGING_CONFIG", "LOG_LEVELS", "WrongValue", "configure", "level_of", "read_config"]

LOG_LEVELS: Final[dict[str, int]] = {
    "critical": logging.CRITICAL,
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": TRACE_LOG_LEVEL,
}

#: for `logging.config.dictConfig`; applications change copies of it
LOGGING_CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "default": {
            "()": "uvicorn.logging.DefaultFormatter",
            "fmt": "%(levelprefix)s %(message)s",
            "use_colors": None,
        },
        "access": {
            "()": "uvicorn.logging.AccessFormatter",
            "fmt": '%(levelprefix)s %(client_addr)s - "%(request_line)s" %(status_code)s%(took)s',
        },
    },
    "handlers": {
        "default": {"formatter": "default", "class": "logging.StreamHandler", "stream": "ext://sys.stderr"},
        "access": {"formatter": "access", "class": "logging.StreamHandler", "stream": "ext://sys.stdout"},
    },
    "loggers": {
        "uvicorn": {"handlers": ["default"], "level": "INFO", "propagate": False},
        "uvicorn.error": {"level": "INFO"},
        "uvicorn.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
    },
}


class WrongValue(ValueError):
    """A parameter names what is not there; the text is a sentence that says what to do."""


def configure(
    log_config: dict[str, Any] | str | os.PathLike[str] | RawConfigParser | IO[Any] | None,
    log_level: str | int | None = None,
    access_log: bool = True,
    use_colors: bool | None = None,
) -> None:
    """Configure `logging`.

    Args:
        log_config: a dict for `dictConfig`; the name of a file, .json, .yaml or .yml with such a dict, or else for
            `fileConfig`; what else `fileConfig` takes; None to leave `logging` as it is.
        log_level: of the three loggers; None for what the configuration says.
        access_log: False for no access log, whatever the configuration says.
        use_colors: of the formatters "default" and "access" of a dict; None for what they say.

    Raises: WrongValue if the file or the level is not there; what `logging.config` raises.
    """
    logging.addLevelName(TRACE_LOG_LEVEL, "TRACE")
    if log_config is not None:
        found = read_config(log_config)
        if isinstance(found, dict):
            logging.config.dictConfig(_coloured(found, use_colors))
        else:
            logging.config.fileConfig(found, disable_existing_loggers=False)
    if log_level is not None:
        for name in ("uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
            logging.getLogger(name).setLevel(level_of(log_level))
    if not access_log:
        logger = logging.getLogger("uvicorn.access")
        logger.handlers = []
        logger.propagate = False


def level_of(level: str | int) -> int:
    """Return the number of a level. Raises: ValueError for an unknown name."""
    if isinstance(level, int):
        return level
    if level.lower() not in LOG_LEVELS:
        raise WrongValue(f"log_level must be one of {', '.join(LOG_LEVELS)}, or a number, not {level!r}")
    return LOG_LEVELS[level.lower()]


def read_config(log_config: Any) -> Any:
    """Return the dict of a file, the name of one for `fileConfig`, or what is no name as it is. Raises: WrongValue."""
    if not isinstance(log_config, (str, os.PathLike)):
        return log_config
    path = os.fspath(log_config)
    if not os.path.isfile(path):
        raise WrongValue(f"log_config: there is no file {os.path.abspath(path)!r}: create it, or name another one")
    if not path.endswith((".json", ".yaml", ".yml")):
        return path
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if path.endswith(".json"):
            return json.loads(text)
    except (OSError, ValueError) as error:
        raise WrongValue(f"log_config: {path!r} cannot be read: {error}") from None
    try:
        import yaml
    except ImportError:
        raise WrongValue(f"log_config: {path!r} is YAML, which needs PyYAML: pip install PyYAML") from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise WrongValue(f"log_config: {path!r} cannot be read: {' '.join(str(error).split())}") from None


def _coloured(config: dict[str, Any], use_colors: bool | None) -> dict[str, Any]:
    formatters = config.get("formatters", {})
    if use_colors is None or not formatters:
        return config
    painted = {
        name: {**formatter, "use_colors": use_colors} if name in ("default", "access") else formatter
        for name, formatter in formatters.items()
    }
    return {**config, "formatters": painted}
