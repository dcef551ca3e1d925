"""What the bridge needs of whatever a consumer is called for: a request, or a socket."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from uvicorn.bridge.sink import ReplySink, Sink

__all__ = ["RequestHooks", "Served", "ServedRequest", "ServedSocket", "line_with_id"]


class Served(Sink, Protocol):
    """What the dispatcher needs of an exchange, beyond what a channel does."""

    started_at: float  # loop time, seconds
    attended: Any  # what goes with it, with a `context` for its calls; or None
    job: Any  # its `CallJob` while a thread is meant to run it, or None

    @property
    def consumer_name(self) -> str:
        """How logs call the consumer."""

    @property
    def shown_line(self) -> str:
        """Method and request target, safe to log."""

    def on_failed(self, error: BaseException) -> None:
        """The consumer has raised. Runs on: the loop."""

    def on_value(self, result: object) -> None:
        """The consumer has returned something. Runs on: the loop."""

    def on_not_called(self) -> None:
        """The task of its call was cancelled before it began. Runs on: the loop."""


class ServedRequest(Served, ReplySink, Protocol):
    """What `dispatch` needs: an exchange, and not a socket."""

    task: asyncio.Task[None] | None

    @property
    def wants_call(self) -> bool:
        """Whether the consumer is still to be called. Runs on: any thread."""


class ServedSocket(Served, Protocol):
    """What a call needs of its socket. All methods run on: the loop."""

    handshake: Any  # the exchange while the socket is not accepted, for Gunicorn's hooks

    def on_returned(self, _: object = None) -> None:
        """The call has ended, whichever way."""


class RequestHooks(Protocol):
    """Gunicorn's `pre_request` and `post_request`, if they are set."""

    def before(self, exchange: Any) -> None:
        """Call `pre_request`; what it raises is the consumer's failure."""

    def after(self, exchange: Any) -> None:
        """Call `post_request`. Must not raise."""


def line_with_id(served: Any) -> str:
    """Return how logs call what is served, with its id: for lines that are not written for this request alone.

    Args:
        served: something `Served`, or what has some of its attributes.
    """
    line: str = getattr(served, "shown_line", "")
    known = getattr(getattr(served, "attended", None), "request_id", None)
    return f"{line} ({known})" if known else line
