"""Who carries out what `Group` and `Channel` are asked for in a worker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from uvicorn.layers.deferred import QUEUE, Line, Sending
from uvicorn.layers.encoding import RequestContent
from uvicorn.layers.handover import DONE
from uvicorn.layers.history import PLAIN, History, HistorySettings, Joining, Standing
from uvicorn.layers.names import is_reply

__all__ = ["Office", "Sides", "WorkerOffice"]

_T = TypeVar("_T")


class Office(Protocol):
    """What carries out the calls of applications. Runs on: any thread. Names and contents are checked already."""

    def add(self, group: str, member: str, joining: Joining = PLAIN) -> Awaitable[Any]:
        """Make a reply channel a member of a group. Raises: ValueError for a history that cannot be."""

    def discard(self, group: str, member: str) -> Awaitable[Any]:
        """Make it a member no more."""

    def publish(
        self, group: str, content: dict[str, Any], immediately: bool, history: History | None = None
    ) -> Awaitable[Any]:
        """Send to all members of a group."""

    def put(self, channel: str, content: dict[str, Any], immediately: bool, delay: float) -> Awaitable[Any]:
        """Send to a channel, or to a reply channel; `delay` in seconds."""

    def members(self, group: str) -> Any:
        """Return the names of the members of a group: in a thread a list, on the loop an awaitable of one.

        Raises: NotImplementedError where nobody can tell.
        """


class Posts(Protocol):
    """What a worker's office needs of its hub. All runs on: the loop, if it does not say otherwise."""

    def add(self, group: str, member: str, joining: Joining = PLAIN) -> Awaitable[Any]:
        """Make a reply channel a member of a group."""

    def discard(self, group: str, member: str) -> Awaitable[Any]:
        """Make it a member no more."""

    def publish(self, group: str, content: dict[str, Any], history: History | None = None) -> Awaitable[Any]:
        """Send to all members of a group."""

    def put(self, channel: str, content: dict[str, Any], delay: float) -> Awaitable[Any]:
        """Send to a channel, or to a reply channel."""

    async def names(self, group: str) -> list[str]:
        """Return the names of all members of a group. Raises: NotImplementedError."""

    def check_history(self) -> None:
        """Raise ValueError if no history is kept. Runs on: any thread."""

    def has_history(self, group: str) -> bool:
        """Whether a group with a history has members here. Runs on: any thread."""


class Sides(Protocol):
    """Where a call comes from, and the way to the loop."""

    @property
    def is_loop(self) -> bool:
        """Whether the caller is on the loop."""

    def wait_for(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on the loop, and wait for it in this thread."""

    def defer(self, call: Callable[[], object]) -> bool:
        """Have the loop make a call when this thread's consumer has returned; return False if it defers nothing."""


class WorkerOffice:
    """The office of a worker.

    Args:
        url: of its layer.
        request_id: returns the id of the request for which the caller runs, or None; None if requests have no ids.
    """

    def __init__(
        self, hub: Posts, sides: Sides, url: str = "", request_id: Callable[[], str | None] | None = None
    ) -> None:
        self._request_id = request_id
        self.url: Final = url
        self._hub: Final = hub
        self._sides: Final = sides
        self._histories: Final = HistorySettings(hub.has_history)

    def add(self, group: str, member: str, joining: Joining = PLAIN) -> Awaitable[Any]:
        """Make a reply channel a member of a group."""
        history = self._history_of(group, joining.history)
        return self._at_once(partial(self._hub.add, group, member, joining.with_history(group, history)))

    def discard(self, group: str, member: str) -> Awaitable[Any]:
        """Make it a member no more."""
        return self._at_once(partial(self._hub.discard, group, member))

    def publish(
        self, group: str, content: dict[str, Any], immediately: bool, history: History | None = None
    ) -> Awaitable[Any]:
        """Send to all members of a group."""
        history = self._history_of(group, history)
        return self._send(partial(self._hub.publish, group, content, history), immediately, ("group", group))

    def put(self, channel: str, content: dict[str, Any], immediately: bool, delay: float) -> Awaitable[Any]:
        """Send to a channel, or to a reply channel."""
        if self._request_id is not None and not is_reply(channel):
            known = self._request_id()
            if known is not None:
                content = RequestContent(content, known)
        line = None if delay else ("reply" if is_reply(channel) else QUEUE, channel)
        return self._send(partial(self._hub.put, channel, content, delay), immediately, line)

    def members(self, group: str) -> Any:
        """Return the names of the members of a group."""
        names = self._hub.names(group)
        return names if self._sides.is_loop else self._sides.wait_for(names)

    def _history_of(self, group: str, history: History | None) -> History | None:
        """Return the history of a group. Raises: ValueError, on the line of the caller."""
        if history is not None:
            self._hub.check_history()
        return self._histories.setting_of(group, history)

    def _send(self, call: Callable[[], Awaitable[Any]], immediately: bool, line: Line | None) -> Awaitable[Any]:
        sides = self._sides
        if not immediately and not sides.is_loop and sides.defer(Sending(call, line)):
            return DONE
        return self._at_once(call)

    def _at_once(self, call: Callable[[], Awaitable[Any]]) -> Awaitable[Any]:
        if self._sides.is_loop:
            return call()
        result = self._sides.wait_for(_awaited(call))
        if isinstance(result, Standing):
            return result
        return DONE if result is None else _Result(result)


class _Result:
    """What is done already, with a result."""

    def __init__(self, result: Any) -> None:
        self._result = result

    def __await__(self) -> Any:
        return self._result
        yield


async def _awaited(call: Callable[[], Awaitable[_T]]) -> _T:
    return await call()
