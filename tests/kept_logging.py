"""Tests that set up `logging` leave nothing of it: no handler, and no file that is open."""

import contextlib
import logging

from uvicorn.command import log_presets

__all__ = ["logging_as_before"]

_NAMES = ("gunicorn.error", "gunicorn.access", "uvicorn", "uvicorn.error", "uvicorn.access")


@contextlib.contextmanager
def logging_as_before():
    """A context manager, or decorator: at its end the loggers of both packages are as they were."""
    loggers = [logging.getLogger(name) for name in _NAMES]
    before = [(list(one.handlers), list(one.filters), one.level, one.propagate, one.disabled) for one in loggers]
    kept = {handler for state in before for handler in state[0]}
    lent = log_presets._lent[:]
    log_presets._lent.clear()  # or handlers of an earlier test would end in this one
    try:
        yield
    finally:
        made = {handler for one in loggers for handler in one.handlers} - kept
        for logger, (handlers, filters, level, propagate, disabled) in zip(loggers, before, strict=True):
            logger.handlers, logger.filters, logger.propagate, logger.disabled = handlers, filters, propagate, disabled
            logger.setLevel(level)
        log_presets._lent[:] = lent
        for handler in made:  # nobody writes to it any more: a file would be opened anew for that
            handler.close()
