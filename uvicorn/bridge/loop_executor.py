"""The loop's default executor: `loop.run_in_executor(None, …)` and `asyncio.to_thread` in our pools.

asyncio wants a ThreadPoolExecutor, and so does uvloop; this is one that never starts a thread of its own.
`asyncio.to_thread` and `run_in_executor` call `submit` on the loop, and wrap what they get. What is given to them
there is a future of the loop already, which asyncio takes as it is: so a result comes back through the outbox, with
all others, and wakes the loop once per burst. In any other thread `submit` gives a future of `concurrent.futures`, as
it should.

The loop may live on when a server has stopped, and several servers may run on one loop: `lend` and `give_back` keep
track of who has lent an executor to which loop, and the last one puts back what was there before.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Lock, get_ident
from types import BuiltinMethodType
from typing import Any, Final, TypeVar, cast

from uvicorn.bridge.framework_calls import FrameworkThreads
from uvicorn.bridge.thread_call import ThreadCall, from_elsewhere
from uvicorn.bridge.work import work_now

__all__ = ["LoopExecutor", "give_back", "lend"]

_T = TypeVar("_T")
#: loop -> what its default executor was, and those that were lent to it since
_lent: Final[dict[asyncio.AbstractEventLoop, tuple[Any, list[LoopExecutor]]]] = {}
_changing: Final = Lock()


class LoopExecutor(ThreadPoolExecutor):
    """An executor that makes calls in the pool of whoever asks.

    Args:
        default: for code that runs for no application.
        loop_thread: the identifier of the loop's thread.
    """

    def __init__(self, default: FrameworkThreads, loop_thread: int) -> None:
        super().__init__(1)  # starts none until the base's own `submit` is called, which it is not
        self._default = default
        self._loop_thread: Final = loop_thread
        self._is_over = False

    def submit(self, function: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]:
        """Call a function in a thread.

        Raises: ChannelFull on the loop if it is made for a request and refused; RuntimeError after `shutdown`.
        """
        if self._is_over:
            raise RuntimeError("cannot schedule new futures after shutdown")
        call = partial(function, *args, **kwargs) if kwargs else function
        if get_ident() == self._loop_thread:
            # An asyncio.Future where a concurrent one is promised: `asyncio.wrap_future` returns it as it is.
            return cast("Future[_T]", self._submit(call, args if not kwargs else ()))
        return from_elsewhere(self._default.outbox, partial(self._submit, call, args if not kwargs else ()))

    def _submit(self, function: Callable[..., Any], args: tuple[Any, ...]) -> _Waiting:
        work = work_now()
        if work is not None and work.threads.outbox.loop is not self._default.outbox.loop:
            work = None  # a context that was made on another server's loop
        threads: FrameworkThreads = self._default if work is None else work.threads
        future = _Waiting(loop=threads.outbox.loop)
        function, context = _taken_apart(function)
        call = future.call = ThreadCall(function, args, context, future, threads, work)
        threads.submit(call)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more. The threads are the pools'; they end with these."""
        self._is_over = True


class _Waiting(asyncio.Future[Any]):
    """The future of one call: cancelling it takes the call back, if it is queued."""

    call: ThreadCall | None = None

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the wait. Returns: whether there was one."""
        if not super().cancel(msg):
            return False
        call, self.call = self.call, None
        if call is not None and not call.is_settled:
            call.take_back()
        return True


def _taken_apart(function: Callable[..., Any]) -> tuple[Callable[..., Any], contextvars.Context]:
    """Return what to call, and the context for it: an empty one, that of the thread, as asyncio has it.

    `asyncio.to_thread` brings its own along: `partial(context.run, function, ...)`.
    """
    if type(function) is partial and type(function.func) is BuiltinMethodType and function.args:
        context: Any = function.func.__self__
        if type(context) is contextvars.Context and function.func.__name__ == "run":
            inner: Any = function.args[0]
            return partial(inner, *function.args[1:], **function.keywords), context
    return function, contextvars.Context()


def lend(loop: asyncio.AbstractEventLoop, executor: LoopExecutor) -> None:
    """Make this the loop's default executor. Runs on: the loop."""
    with _changing:
        # asyncio's own loop keeps it in an attribute; uvloop does not tell.
        _, lent = _lent.setdefault(loop, (getattr(loop, "_default_executor", None), []))
        lent.append(executor)
    loop.set_default_executor(executor)


def give_back(loop: asyncio.AbstractEventLoop, executor: LoopExecutor) -> None:
    """Take it away again. Runs on: the loop's thread, while the loop is open."""
    executor.shutdown()
    with _changing:
        before, lent = _lent.get(loop, (None, []))
        if executor in lent:
            lent.remove(executor)
        if not lent:
            _lent.pop(loop, None)
    if not loop.is_closed():
        # An executor that was never asked for anything has no thread.
        loop.set_default_executor(lent[-1] if lent else before or ThreadPoolExecutor(thread_name_prefix="asyncio"))
