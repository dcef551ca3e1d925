"""Where the presets of `log_format` are put on: Gunicorn's logger, and the log of `uvicorn.run`.

Under plain `gunicorn` the logger is made before our settings are known. There the lines of the master's start are
Gunicorn's own; `check_config` comes right after them, and each worker begins with the same. The `uvicorn` command gives
Gunicorn a logger class that does it from the first line on. Both do it again when the log is set up anew (HUP).
"""

from __future__ import annotations

import logging
from typing import Any, Final

from uvicorn.command.access_wishes import heed_wishes
from uvicorn.command.console import ACCESS_FORMAT, colour_access, wants_colours
from uvicorn.command.formatters import ColourizedFormatter
from uvicorn.command.log_names import COLOUR, JSON, TEXT
from uvicorn.command.log_setup import LOGGING_CONFIG
from uvicorn.command.settings import Settings
from uvicorn.command.standard_log import StandardLog

__all__ = ["dress_standard", "dressed", "keep_dressed", "prepare_log", "wants_paint"]

_MARK: Final = "_uvicorn_dressed"
_lent: Final[list[logging.Handler]] = []  # to the other package's loggers


def prepare_log(log: Any, cfg: Any, settings: Settings) -> None:
    """Have a Gunicorn logger write as the settings say: its preset, ids, colours on a terminal. Idempotent.

    A log that is configured otherwise is left alone; its formatters may ask for `request_id`, and find it.
    """
    has_ids = settings.attending.request_id
    if has_ids:
        from uvicorn.command.log_records import carry_request_ids  # where requests have ids

        carry_request_ids()
    if isinstance(log, StandardLog):
        dress_standard(settings, log.options.get("log_config"))
        return
    _lend_handlers(getattr(log, "error_log", None))
    heed_wishes(log, cfg.accesslog)
    colour_access(log, cfg.access_log_format, True if settings.log_format == COLOUR else settings.use_colors)
    if cfg.logconfig or cfg.logconfig_dict or cfg.logconfig_json or not (has_ids or settings.log_format != TEXT):
        return
    from uvicorn.command.log_formats import dress  # where a preset is chosen

    error, access = (_streams(getattr(log, name, None)) for name in ("error_log", "access_log"))
    dress(error, access, settings.log_format, has_ids, is_own_line=cfg.access_log_format == ACCESS_FORMAT)


def _lend_handlers(error_log: logging.Logger | None) -> None:
    """Have what an application sends to the other package's loggers written where Gunicorn's error log is.

    Only where nobody has configured them: `logging.getLogger("uvicorn.error").info(...)` is what tutorials write. An
    error log without handlers of its own leaves its lines to the root logger: there these go by themselves.
    """
    logger = logging.getLogger("uvicorn")
    is_free = not logger.handlers or logger.handlers == _lent  # those of before the error log was set up anew
    if error_log is not None and error_log.handlers and is_free and not logging.getLogger("uvicorn.error").handlers:
        _lent[:] = logger.handlers = list(error_log.handlers)
        logger.setLevel(error_log.level)
        logger.propagate = False


def wants_paint(stream: Any, settings: Settings) -> bool:
    """Whether the lines of the start are to be coloured, which go to this stream."""
    if settings.log_format == JSON:
        return False
    return wants_colours(stream, True if settings.log_format == COLOUR else settings.use_colors)


def dress_standard(settings: Settings, log_config: Any) -> None:
    """Have the log of `uvicorn.run` written so, if `log_config` is the default."""
    has_ids = settings.attending.request_id
    if log_config != LOGGING_CONFIG or not (has_ids or settings.log_format != TEXT):
        return
    from uvicorn.command.log_formats import JSONFormatter, dress, naked  # where a preset is chosen

    ours = (ColourizedFormatter, JSONFormatter)  # formatters of the log of `uvicorn.run`, and not somebody's own
    error, access = (
        [handler for handler in logging.getLogger(name).handlers if isinstance(naked(handler.formatter), ours)]
        for name in ("uvicorn", "uvicorn.access")
    )
    dress(error, access, settings.log_format, has_ids, is_own_line=True)


def dressed(cfg: Any) -> Any:
    """Return the logger class of a configuration, such that it writes what our settings say from its first line on."""
    base: Any = cfg.logger_class

    def setup(self: Any, cfg: Any) -> None:
        base.setup(self, cfg)
        prepare_log(self, cfg, Settings.from_config(cfg))

    return type(f"Dressed{base.__name__}", (base,), {"setup": setup, "__module__": base.__module__, _MARK: True})


def keep_dressed(log: Any) -> None:
    """Have a logger of Gunicorn's write likewise when its master sets it up anew. Idempotent."""
    if getattr(log, _MARK, False) or not callable(getattr(log, "setup", None)):
        return
    before = log.setup

    def setup(cfg: Any) -> None:
        before(cfg)
        prepare_log(log, cfg, Settings.from_config(cfg))

    try:
        log.setup = setup
        setattr(log, _MARK, True)
    except AttributeError:
        pass  # somebody's own, which takes no attributes


def _streams(logger: Any) -> list[logging.Handler]:
    """Return the handlers that Gunicorn has made, but for those of syslog."""
    handlers: list[logging.Handler] = getattr(logger, "handlers", [])
    return [each for each in handlers if isinstance(each, logging.StreamHandler) and getattr(each, "_gunicorn", False)]
