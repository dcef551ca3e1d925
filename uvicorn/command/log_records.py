"""What records of `logging` carry of the request for which they were made: its id, its trace.

A record takes it from context variables when it is made, in the thread that logs. Every formatter finds it by name,
`%(request_id)s`; "-" where there is no request. An application that gives a value of the same name itself (`extra`)
keeps its own: ours are set when the record is formatted, because `logging` refuses an `extra` that is there already.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from uvicorn.watching import request_ids

__all__ = ["NOTHING", "CarryingRecord", "carried", "carry", "carry_request_ids", "current_request_id"]

#: the value of a name where there is none
NOTHING: Final = "-"
_KEY: Final = "_uvicorn_carried"

_sources: Final[dict[str, Callable[[], str | None]]] = {}


class CarryingRecord(logging.LogRecord):
    """A record that knows for which request it was made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.__dict__[_KEY] = _taken()

    def getMessage(self) -> str:
        """Return the message, and have the names ready that formatters ask for. Called by each formatter first."""
        for name, value in self.__dict__[_KEY].items():
            self.__dict__.setdefault(name, value)
        return super().getMessage()

    def __getattr__(self, name: str) -> Any:
        """Return what is carried, for filters, which come before formatters."""
        try:
            return self.__dict__[_KEY][name]
        except KeyError:
            raise AttributeError(f"a record of logging has no {name!r}") from None


def current_request_id() -> str | None:
    """Return the id of the request for which code runs just now; None outside of requests, or if there are none.

    Runs on: any thread of a request.
    """
    return request_ids.current_request_id.get()


def carry_request_ids() -> None:
    """Have the records of this process, and of those that it forks, carry request ids. Idempotent."""
    carry("request_id", current_request_id)


def carry(name: str, source: Callable[[], str | None]) -> None:
    """Have records carry what a function returns when they are made; None for nothing.

    Runs on: the thread that logs, in its context.
    """
    _sources[name] = source
    before = logging.getLogRecordFactory()
    if before is logging.LogRecord:
        logging.setLogRecordFactory(CarryingRecord)
    elif before is not CarryingRecord and not isinstance(before, _After):
        logging.setLogRecordFactory(_After(before))


def carried(record: logging.LogRecord) -> dict[str, str]:
    """Return what a record carries, by name, without what is nothing."""
    given: dict[str, str] = record.__dict__.get(_KEY, {})
    return {name: value for name, value in given.items() if value != NOTHING}


class _After:
    """A factory of records for a process whose application has set one of its own."""

    def __init__(self, before: Callable[..., logging.LogRecord]) -> None:
        self._before = before

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._before(*args, **kwargs)
        taken = record.__dict__[_KEY] = _taken()
        for name, value in taken.items():
            record.__dict__.setdefault(name, value)
        return record


def _taken() -> dict[str, str]:
    return {name: source() or NOTHING for name, source in _sources.items()}
