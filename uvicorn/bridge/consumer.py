"""What a consumer is: looked at once, when it is loaded or routed."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
from collections.abc import Callable, Collection
from typing import Any, Final, TypeVar

from uvicorn.bridge.governor import Load
from uvicorn.bridge.tally import Tally
from uvicorn.errors import ConsumerError

__all__ = [
    "Consumer", "advice_on", "check_groups", "is_async_callable", "name_of", "runs_long", "runs_long_of",
    "streams_body", "streams_slowly",
]  # fmt: skip

_F = TypeVar("_F", bound=Callable[..., Any])
_STREAMS: Final = "_uvicorn_streams_body"
_LONG: Final = "_uvicorn_runs_long"
_SLOW: Final = "_uvicorn_streams_slowly"


class Consumer:
    """A callable that takes one message, and what we found out about it.

    Args:
        call: the callable.
        body: "stream" to get a large body as it comes, "collect" to have it collected first, or None for
            what `streams_body` says; an asynchronous consumer always gets it as it comes.
        groups: the named groups that its route gives as keyword arguments; None if it has no route.
        marked: where the marks of `streams_body` and `streams_slowly` are, if not at the callable itself.

    Raises: ConsumerError if it is not a callable that takes one positional argument, and the groups.

    Attributes:
        is_async: runs as a task on the loop; otherwise in a thread of the pool.
        is_long: a call may take any time, and is never taken for stuck.
        streams_body: gets a large body as it comes.
        begins_early: is called when the head is there, and gets any body as it comes. Its class says so.
        defers: what it sends to groups and channels goes out when it has returned: a synchronous consumer of messages.
        is_slow: its clients may send and take slowly: minimum rates and `request_timeout` are not for them.
        name: how logs call it: module and qualified name.
        target: the callable as it was given; `call` may be a wrapper that a route has put around it.
        pool: the pool of threads it runs in; None for the worker's first one. Set when the worker starts.
        pool_name: what the route calls that pool, or None.
        mount: the prefix that it is mounted at; "" if at none.
        tally: what its calls took, those of its copies included, but for other mounts.
        missing: arguments that it requires and its route does not give: an include may.
    """

    __slots__ = (
        "begins_early", "call", "defers", "is_async", "is_long", "is_slow", "load", "missing", "mount", "name", "pool",
        "pool_name", "streams_body", "tally", "target",
    )  # fmt: skip

    def __init__(
        self,
        call: Callable[..., Any],
        body: str | None = None,
        groups: Collection[str] | None = None,
        marked: Callable[..., Any] | None = None,
    ) -> None:
        self.name = name_of(call)
        if not callable(call):
            raise ConsumerError(f"{self.name} is not callable; a consumer is a callable that takes one message")
        if body not in (None, "stream", "collect"):
            raise ConsumerError(f"{self.name}: body must be 'stream' or 'collect', not {body!r}")
        self.missing = frozenset[str]()
        if groups is None:
            _check_signature(call, self.name)
        else:
            check_groups(call, self.name, groups)
            self.missing = _missing(call, groups)
        self.call = self.target = call
        self.pool: Any = None
        self.pool_name: str | None = None
        self.is_async = is_async_callable(call)
        self.begins_early: bool = getattr(type(call), "begins_early", False)
        self.defers = not self.is_async and not getattr(type(call), "sends_at_once", False)
        self.is_long = runs_long_of(call)
        self.load = Load()
        self.mount = ""
        self.tally = Tally()
        self.streams_body = self.is_async or (_is_marked(call, _STREAMS) if body is None else body == "stream")
        self.is_slow = _is_marked(call if marked is None else marked, _SLOW)

    def __repr__(self) -> str:
        return f"<Consumer {self.name} {'on the loop' if self.is_async else 'in the pool'}>"

    def call_plain(self, message: Any) -> Any:
        """Call a synchronous consumer; return what it has returned.

        Raises: ConsumerError if it returned a coroutine; what the consumer raises.
        """
        result = self.call(message)
        if result is not None and inspect.iscoroutine(result):
            result.close()
            raise ConsumerError(
                f"{self.name} is a plain function but returned a coroutine: "
                "write it as 'async def', or do not return the coroutine"
            )
        return result

    def replaced(self, **attributes: Any) -> Consumer:
        """Return a copy with other attributes: what a route makes of a consumer."""
        copy = Consumer.__new__(Consumer)
        for name in Consumer.__slots__:
            setattr(copy, name, attributes[name] if name in attributes else getattr(self, name))
        return copy


def advice_on(result: object, is_socket: bool = False) -> str:
    """Return what to say of a value that a consumer has returned, and that was meant for a response; "" if it was not.

    Args:
        is_socket: the consumer was called for a message of a socket.
    """
    kind = type(result).__name__
    if not isinstance(result, (str, bytes, dict, list, tuple)) and not hasattr(result, "status_code"):
        return ""
    reply = "{'text': ...}" if is_socket else "{'status': 200, 'content': ...}"
    encode = " (content is bytes: encode it)" if isinstance(result, str) and not is_socket else ""
    return f"returned a {kind}, which goes nowhere; send it with message['reply_channel'].send({reply}){encode}"


def streams_body(consumer: _F) -> _F:
    """Have a synchronous consumer get a large body as it comes, instead of collected first.

    A thread is then taken before the body is complete: use it where the chunks are worth that.
    """
    setattr(consumer, _STREAMS, True)
    return consumer


def runs_long(consumer: _F) -> _F:
    """Mark a synchronous consumer whose calls may take any time: they are never taken for stuck (`stuck_after`).

    Give it a pool of its own, so that it does not take the threads of others.
    """
    setattr(consumer, _LONG, True)
    return consumer


def runs_long_of(call: object) -> bool:
    """Whether `runs_long` has marked a callable."""
    return _is_marked(call, _LONG)


def streams_slowly(consumer: _F) -> _F:
    """Mark a consumer whose clients may send and take slowly, on purpose.

    The minimum rates and `request_timeout` are then not for its requests; the limits of single pauses
    (`body_timeout`, `write_timeout`) are. Event streams (`text/event-stream`) need no declaration.
    """
    setattr(consumer, _SLOW, True)
    return consumer


def is_async_callable(call: object) -> bool:
    """Whether calling this gives a coroutine.

    True for coroutine functions, `functools.partial` of them, bound methods, instances with `async def
    __call__`, and what `inspect.markcoroutinefunction` (or asyncio's older mark) has marked. A plain
    wrapper around a coroutine function is not asynchronous: it runs in a thread.
    """
    while isinstance(call, functools.partial):
        call = call.func
    if _is_coroutine_function(call):
        return True
    if inspect.isclass(call) or inspect.isroutine(call):
        return False
    return callable(call) and _is_coroutine_function(type(call).__call__)


def name_of(call: object) -> str:
    """Return module and qualified name of a callable, for logs and errors."""
    while isinstance(call, functools.partial):
        call = call.func
    name = getattr(call, "__qualname__", None)
    if name is None:  # an instance
        call, name = type(call), f"{type(call).__qualname__}()"
    return f"{getattr(call, '__module__', None) or 'builtins'}.{name}"


def _is_coroutine_function(call: object) -> bool:
    if sys.version_info < (3, 12) and asyncio.iscoroutinefunction(call):
        return True  # knows the mark that asgiref sets where inspect has none to offer
    return inspect.iscoroutinefunction(call)


def _is_marked(call: object, mark: str) -> bool:
    """Whether a decorator has marked this callable, or what it is a `functools.partial` of."""
    while isinstance(call, functools.partial):
        if getattr(call, mark, False):
            return True
        call = call.func
    return bool(getattr(call, mark, False) or getattr(getattr(type(call), "__call__", None), mark, False))  # noqa: B004


def check_groups(call: Callable[..., Any], name: str, groups: Collection[str]) -> None:
    """Refuse named groups that a consumer does not take.

    Raises: ConsumerError.
    """
    try:
        signature = inspect.signature(call, follow_wrapped=False)
    except (TypeError, ValueError):
        return  # some builtins have none: the first call will tell
    for given in ([], *([group] for group in groups)):
        try:
            signature.bind_partial(None, **dict.fromkeys(given, ""))
        except TypeError:
            if given:
                raise ConsumerError(
                    f"{name}{signature} does not take the named group {given[0]!r} of its route as a keyword argument"
                ) from None
            _check_signature(call, name)


def _missing(call: Callable[..., Any], groups: Collection[str]) -> frozenset[str]:
    try:
        parameters = list(inspect.signature(call, follow_wrapped=False).parameters.values())
    except (TypeError, ValueError):
        return frozenset()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if parameters and parameters[0].kind in positional:
        parameters = parameters[1:]  # the message
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    required = {item.name for item in parameters if item.kind in kinds and item.default is item.empty}
    return frozenset(required.difference(groups))


def _check_signature(call: Callable[..., Any], name: str) -> None:
    try:
        signature = inspect.signature(call, follow_wrapped=False)
    except (ValueError, TypeError):
        return  # some builtins have none: the first call will tell
    try:
        signature.bind(None)
    except TypeError:
        raise ConsumerError(
            f"{name}{signature} cannot be called with one argument; a consumer takes one message: def consumer(message)"
        ) from None
