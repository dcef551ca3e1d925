"""For whom code runs just now: one request of an application, or something outside of all requests.

A context variable says it; tasks and threads that a request starts inherit it. What a framework hands to a thread finds
here whose threads it may use, and what it must not do any more when the client has left.

A request has no `Work` until it first hands something to a thread (`work_now`): most never do.
"""

from __future__ import annotations

import contextvars
from collections import deque
from typing import Any, Final, Protocol

__all__ = ["HasWork", "Nest", "Work", "current_work", "nested_below", "work_now"]


class Work:
    """One request, as the threads see that work for it. Written on the loop.

    Attributes:
        threads: the `FrameworkThreads` that it may use.
        channel: its reply channel while the application runs, or None.
        is_outside: it is no request: start-up, a lifespan; or a request that is over, and has left a task behind.
        is_answered: the response is complete; what follows are background tasks.
        is_refused: a call found no thread, or not in time: the request is to be answered with 503.
        is_stuck: the thread of a call does not come back, and the worker leaves: with 504 then.
        lease: by which it keeps a thread, or None.
        hops: how many calls were made in threads.
        wait_seconds, run_seconds: how long they waited for a thread, and ran, added up.
    """

    __slots__ = (
        "channel",
        "hops",
        "is_answered",
        "is_outside",
        "is_refused",
        "is_stuck",
        "lease",
        "run_seconds",
        "threads",
        "wait_seconds",
    )

    def __init__(self, threads: Any, channel: Any = None, is_outside: bool = False) -> None:
        self.threads = threads
        self.channel = channel
        self.is_outside = is_outside
        self.is_answered = False
        self.is_refused = False
        self.is_stuck = False
        self.lease: Any = None
        self.hops = 0
        self.wait_seconds = 0.0
        self.run_seconds = 0.0

    @property
    def has_left(self) -> bool:
        """Whether the client has left before its answer was complete."""
        return self.channel is not None and not self.is_answered and self.channel.closed

    def give_up(self) -> None:
        """The thread of a call does not come back."""
        self.is_refused = self.is_stuck = True

    def end(self) -> None:
        """Belong to no request any more: the application has returned, and may have left something behind."""
        self.is_outside = True
        self.channel = None


class Nest:
    """A thread that may wait for the loop, as the calls see it that it may wait for. Written on the loop.

    Attributes:
        has_extra: one of these calls has an extra thread.
        waiting: others of them, until one ends.
    """

    # No constructor: one is made for each call, and most are never looked at.
    has_extra = False
    waiting: deque[Any] | None = None


class HasWork(Protocol):
    """What has a `Work` when that is first asked for.

    Attributes:
        threads: as those of the `Work`. Runs on: any thread.
    """

    threads: Any

    def get_work(self) -> Work:
        """Return it, and make it if it is not there. Runs on: the loop."""


#: read by `work_now`
current_work: Final[contextvars.ContextVar[Work | HasWork | None]] = contextvars.ContextVar(
    "uvicorn_work", default=None
)
#: a thread waits for this code: what it hands to a thread is waited for by a thread
nested_below: Final[contextvars.ContextVar[Nest | None]] = contextvars.ContextVar("uvicorn_nested", default=None)


def work_now() -> Work | None:
    """Return for whom code runs just now. Runs on: the loop."""
    found = current_work.get()
    return found if found is None or isinstance(found, Work) else found.get_work()
