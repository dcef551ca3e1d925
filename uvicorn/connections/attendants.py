"""What goes with each request from its head to its end: an id, a span, the time that it took to come here.

Theory of operation
-------------------
An *attendant* is told when a head was read, before anything else is done with the request, and when the response is
over. What it sets in context variables meanwhile is seen wherever code runs for the request: each call of a consumer,
on the loop or in a thread, runs in a copy of the context in which `begin` has run, and so does what frameworks hand to
threads from there. Lines that the server itself writes about the request are written in a copy, too (`Attended.log`).

Nothing of it is there unless somebody wants it: `Service.attendants` is None then, and so is `Exchange.attended`.

Loop thread only, but for what is said otherwise. What an attendant raises is logged, and the request goes on.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from uvicorn.bridge.outbox import Log
from uvicorn.wire.reply import Fields

__all__ = ["Attendant", "Attendants", "Attended"]


class Attendant(Protocol):
    """What goes with requests. (`exchange` is an `Exchange`: that module imports this one.)"""

    def begin(self, exchange: Any, message: dict[str, Any], is_believed: bool) -> None:
        """A head was read. Called in the context of the request, with its message, which it may change.

        Args:
            is_believed: the head comes from a trusted peer that has written it.
        """

    def end(self, exchange: Any) -> None:
        """The response is over, complete or not; a socket that was accepted goes on. Called in the same context."""

    def end_socket(self, socket: Any) -> None:
        """A socket that was accepted is gone. Called in the same context."""

    def figures(self) -> Mapping[str, Any]:
        """Return the numbers of its own: family -> labels -> value."""


class Attended:
    """What is known of one request beside its exchange.

    Attributes:
        context: each call for the request, or its socket, runs in a copy of it.
        request_id: None if there are none.
        block: lines that the head of its response gets.
        block_name: the name of the field in them, in lower case with its colon; b"" if there is none.
        error: the name of what its consumer has raised, with its module; "" if it has raised nothing.
        on_error: called with what the consumer has raised, or None.
        upstream_seconds: how long it took from the first proxy to us; None if that is not known.
        notes: what attendants keep, by their own keys.
    """

    __slots__ = ("block", "block_name", "context", "error", "notes", "on_error", "request_id", "upstream_seconds")

    def __init__(self, context: contextvars.Context) -> None:
        self.context: Final = context
        self.request_id: str | None = None
        self.block = self.block_name = b""
        self.error = ""
        self.on_error: Callable[[BaseException], object] | None = None
        self.upstream_seconds: float | None = None
        self.notes: dict[str, Any] = {}

    def added_to(self, fields: Fields) -> Fields:
        """Return the fields of a response with ours; one that the consumer has sent itself stays as it is."""
        if not self.block or b"\n" + self.block_name in b"\n" + fields.block.lower():
            return fields
        return fields.after(self.block)

    def on_failed(self, error: BaseException) -> None:
        """The consumer has raised. Keeps nothing of the error, which may hold the request."""
        kind = type(error)
        self.error = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        if self.on_error is not None:
            self.on_error(error)

    def log(self, log: Log) -> Log:
        """Return what writes lines that belong to this request."""
        return _LogWithin(log, self.context)


class Attendants:
    """All that goes with the requests of one worker.

    Args:
        context: those of requests begin as copies of it.
        report: what is called with each exchange that has ended, for the access log; None if nobody wants it.
    """

    def __init__(
        self,
        attendants: Sequence[Attendant],
        context: contextvars.Context,
        report: Callable[[Any], None] | None,
        log: Log,
    ) -> None:
        self._all: Final = tuple(attendants)
        self._context: Final = context
        self._report: Final = report
        self._log: Final = log

    def begin(self, exchange: Any, message: dict[str, Any], is_believed: bool) -> None:
        """A head was read."""
        context = self._context.copy()
        exchange.attended = Attended(context)
        context.run(self._tell, "begin", exchange, message, is_believed)

    def report(self, exchange: Any) -> None:
        """A response is over: attendants are told, and the access log is written. For `Service.report`."""
        if exchange.attended is None:  # what came was no request
            if self._report is not None:
                self._report(exchange)
            return
        exchange.attended.context.run(self._end, exchange)

    def end_socket(self, socket: Any) -> None:
        """A socket that was accepted is gone."""
        if socket.attended is not None:
            socket.attended.context.run(self._tell, "end_socket", socket)

    def figures(self) -> dict[str, Any]:
        """Return the numbers of all attendants."""
        return {name: values for each in self._all for name, values in each.figures().items()}

    def _end(self, exchange: Any) -> None:
        self._tell("end", exchange)
        if self._report is not None:
            self._report(exchange)

    def _tell(self, what: str, *args: Any) -> None:
        for attendant in self._all:
            try:
                getattr(attendant, what)(*args)
            except Exception:
                self._log.error("Error in %s.%s", type(attendant).__name__, what, exc_info=True)


class _LogWithin:
    """A log that writes each line in a copy of a context."""

    def __init__(self, log: Log, context: contextvars.Context) -> None:
        self._log: Final[Any] = log
        self._context: Final = context

    def __getattr__(self, level: str) -> Callable[..., Any]:
        """Return what writes a line of a level."""
        write = getattr(self._log, level)
        return lambda *args, **kwargs: self._context.copy().run(write, *args, **kwargs)
