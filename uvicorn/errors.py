"""The exceptions of this package, split by whose fault they are.

    UvicornError
    ├── ReplyError (ValueError)           the consumer sent a reply that is not allowed
    │   └── ReplyTypeError (TypeError)    ... of a wrong type
    ├── ConsumerError                     the consumer itself is not what it must be
    │   └── RouteError                    a list of routes has mistakes: all of them
    ├── StartupError                      the application says that it cannot start
    ├── WrongSide (RuntimeError)          a call from one side to the other was made on the wrong one
    ├── ClientError                       the client's request is malformed, too large or too slow
    ├── ChannelClosed (ConnectionError)   the client has left, or the exchange is over
    │   └── ServerStopping                the worker leaves before the exchange could end
    ├── ChannelFull                       the other side is too far behind to take more
    ├── ChannelLayerUnavailable           what carries groups and channels cannot be reached
    ├── ConsumeLater                      a consumer wants its background message again, a little later
    ├── TaskFailed                        a task of Django has raised: its message is done with
    ├── DenyConnection                    a consumer refuses a socket
    ├── ReadTimeout (TimeoutError)        the client stopped sending its body
    └── BodyTooLarge                      `BodyChannel.read(limit)` would pass its limit

A consumer may let `ChannelClosed` escape: that is a normal end, logged without a traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = [
    "BodyTooLarge",
    "ChannelClosed",
    "ChannelFull",
    "ChannelLayerUnavailable",
    "ClientError",
    "ConsumeLater",
    "ConsumerError",
    "DenyConnection",
    "Mistake",
    "NotCalled",
    "ReadTimeout",
    "ReplyError",
    "ReplyTypeError",
    "RouteError",
    "ServerStopping",
    "StartupError",
    "TaskFailed",
    "UvicornError",
    "WrongSide",
    "is_all_full",
    "is_full",
]


class UvicornError(Exception):
    """The root of every error that this package raises on purpose."""


class ReplyError(UvicornError, ValueError):
    """A consumer sent a reply that is not allowed; the text says what is.

    Raised by `send()` in the consumer, on its own line, before anything is written.
    """


class ReplyTypeError(ReplyError, TypeError):
    """A part of a reply has a wrong type."""


class ConsumerError(UvicornError):
    """A callable cannot be served as a consumer, or broke the rules of one."""


class Mistake(NamedTuple):
    """One mistake in a list of routes, and where it is: "file:line", or "" if that is not known."""

    text: str
    place: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place else self.text


class RouteError(ConsumerError):
    """All mistakes of a list of routes, each on a line of its own."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(dict.fromkeys(mistakes))  # a list that is included twice has its mistakes once
        lines = [str(mistake) for mistake in self.mistakes]
        super().__init__(lines[0] if len(lines) == 1 else "\n  ".join([f"{len(lines)} mistakes", *lines]))


class StartupError(UvicornError):
    """The application cannot start: the worker stops with Gunicorn's boot error."""


class WrongSide(UvicornError, RuntimeError):
    """A call leads to the side that it comes from (`run_in_pool`, `run_on_loop`), or would wait for itself."""


class ClientError(UvicornError):
    """A request that is answered by the server itself.

    Args:
        status: the status code of the answer, 400 to 599.
        reason: one line for the log; it is not shown to the client.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class ChannelClosed(UvicornError, ConnectionError):
    """Nobody listens at the other end of a channel any more."""


class ServerStopping(ChannelClosed):
    """The worker stops and cannot wait for this exchange any longer."""


class NotCalled(ServerStopping):
    """The worker leaves before a consumer was called: its message is for another one."""


class ChannelFull(UvicornError):
    """There is no room.

    An asynchronous consumer sent far more than its client took, without awaiting; or a call that `run_in_pool` or a
    framework makes found the pool and its queue full; or as many messages wait in a channel as it may have. A consumer
    may let these escape: its request gets 503.
    """


class ChannelLayerUnavailable(UvicornError):
    """What carries groups and channels between processes cannot be reached, or does not take more.

    Attributes:
        was_sent: it may have got the message all the same: nobody knows.
    """

    def __init__(self, reason: str, was_sent: bool = False) -> None:
        super().__init__(reason)
        self.was_sent = was_sent


class ConsumeLater(UvicornError):
    """Raised by the consumer of a background message: it is delivered again, a little later."""


class TaskFailed(UvicornError):
    """Raised for a background message that has failed and is done with: it is logged, and not delivered again."""


class DenyConnection(UvicornError):
    """Raised by the consumer of `websocket.connect`: the socket is refused with 403, and nothing is logged."""


class ReadTimeout(UvicornError, TimeoutError):
    """The client sent nothing of its body for `body_timeout` seconds."""


class BodyTooLarge(UvicornError):
    """A body is larger than the limit given to `BodyChannel.read`."""


def is_full(error: BaseException) -> bool:
    """Whether this is ChannelFull, or a group of exceptions that has one somewhere."""
    return isinstance(error, ChannelFull) or any(map(is_full, _parts(error)))


def is_all_full(error: BaseException) -> bool:
    """Whether this is ChannelFull, or a group of nothing else."""
    parts = _parts(error)
    return isinstance(error, ChannelFull) or (bool(parts) and all(map(is_all_full, parts)))


def _parts(error: BaseException) -> tuple[BaseException, ...]:
    """Return what a group of exceptions has; Python 3.10 knows groups only by a package."""
    is_group = any(kind.__name__ == "BaseExceptionGroup" for kind in type(error).__mro__)
    return tuple(error.exceptions) if is_group else ()  # type: ignore[attr-defined]  # that is what makes a group
