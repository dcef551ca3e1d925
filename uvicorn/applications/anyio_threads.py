"""anyio's `to_thread` and `from_thread` on our loop: its calls in our pools.

Theory of operation
-------------------
anyio asks its backend, a class, to run a function in a thread. Four of its methods are replaced (`install`) while a
worker serves, and put back when the last one of the process stops; each looks whose loop is running, and does what it
did for any other loop:

    run_sync_in_worker_thread         makes an `AnyioCall`, a job of a pool
    current_default_thread_limiter    gives the limiter of the application that asks
    run_async_from_thread,
    run_sync_from_thread              as they are; the thread is marked as waiting meanwhile, and what would wait for
                                      itself is an error

In its thread a call finds what `anyio.from_thread` reads: the token of the loop, and the cancel scope.

*Cancellation* is anyio's: a call that waits for a thread or for its limiter is taken back; one that runs is waited
for, unless `abandon_on_cancel`. anyio shields the wait from the beginning; here it is shielded when a cancellation
comes and the call turns out to be running, which spares a scope for each call. A task that is cancelled by other means
than a scope does not wait, as with anyio. Nothing is ever run and lost: a call that was taken back never runs.

*What must run* runs: a call with a limiter of its own, in a shielded scope, or that is known to be an exit is not
taken back, nor does it wait behind others (`framework_calls.py`).

This module is imported when anyio is there. The names that it uses of anyio's own are checked before anything is
replaced (`reason_against`); an anyio that is another one keeps its threads.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from importlib.metadata import version
from typing import Any, ClassVar, Final

from anyio._core import _eventloop as core
from anyio.lowlevel import EventLoopToken

from uvicorn.applications.anyio_call import run_sync, work_on
from uvicorn.applications.anyio_limiter import ThreadLimiter
from uvicorn.applications.anyio_scopes import begun
from uvicorn.bridge.framework_calls import FrameworkThreads, installing
from uvicorn.bridge.waits import blocking
from uvicorn.bridge.work import Nest, nested_below

__all__ = ["METHODS", "AnyioThreads", "reason_against"]

OLDEST: Final = (4, 14)  # tested
NEWEST: Final = (4, 16)
METHODS: Final = {
    "run_sync_in_worker_thread": ("func", "args", "abandon_on_cancel", "limiter"),
    "current_default_thread_limiter": (),
    "run_async_from_thread": ("func", "args", "token"),
    "run_sync_from_thread": ("func", "args", "token"),
}

backend: Final[Any] = import_module("anyio._backends._asyncio")
Backend: Final[Any] = backend.AsyncIOBackend
CancelScope: Final[Any] = backend.CancelScope
threadlocals: Final[Any] = core.threadlocals


def reason_against() -> str:
    """Return why this anyio keeps its own threads, or ""."""
    found = version("anyio")
    numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    if not OLDEST <= numbers <= NEWEST:
        return f"anyio {found} was not tested; {'.'.join(map(str, OLDEST))} to {'.'.join(map(str, NEWEST))} are"
    for name, expected in METHODS.items():
        method = Backend.__dict__.get(name)
        if not isinstance(method, classmethod):
            return f"anyio {found} has no {name}"
        if tuple(inspect.signature(method.__func__).parameters)[1:] != expected:
            return f"{name} of anyio {found} takes other arguments"
    missing = [name for name in ("_task_states", "CancelScope", "is_anyio_cancellation") if not hasattr(backend, name)]
    slots = ("_shield", "_parent_scope", "_cancel_called", "_cancel_handle")
    missing += [name for name in slots if name not in getattr(CancelScope, "__slots__", ())]
    missing += [] if hasattr(CancelScope, "_deliver_cancellation") else ["_deliver_cancellation"]
    if missing:
        return f"anyio {found} has no {missing[0]}"
    return ""


class AnyioThreads:
    """What sends anyio's calls on one loop to our pools. All methods run on: the loop, unless they say otherwise.

    Args:
        default: for code that runs for no application.
    """

    serving: ClassVar[tuple[AnyioThreads, ...]] = ()  # all that are installed
    by_loop: ClassVar[dict[asyncio.AbstractEventLoop, AnyioThreads]] = {}  # replaced as a whole
    originals: ClassVar[dict[str, Any]] = {}

    def __init__(self, loop: asyncio.AbstractEventLoop, loop_thread: int, default: FrameworkThreads) -> None:
        self.loop: Final = loop
        self.loop_thread: Final = loop_thread
        self.default: Final = default
        self.token: Final = EventLoopToken(Backend, loop)
        # Of calls that are made in no scope: nothing cancels it, so one does for all of them.
        self.no_scope: Final = CancelScope(shield=True)

    def install(self) -> None:
        """Replace the methods of anyio's backend, if no other loop's have done so."""
        with installing:
            if not AnyioThreads.serving:
                AnyioThreads.originals = {name: Backend.__dict__[name] for name in METHODS}
            AnyioThreads._set((*AnyioThreads.serving, self))
            if len(AnyioThreads.serving) == 1:
                for name, method in _replacements().items():
                    setattr(Backend, name, classmethod(method))

    def remove(self) -> None:
        """Put them back, if no other loop needs them."""
        with installing:
            was_last = AnyioThreads.serving == (self,)
            AnyioThreads._set(tuple(each for each in AnyioThreads.serving if each is not self))
            if was_last:
                for name, original in AnyioThreads.originals.items():
                    setattr(Backend, name, original)

    @classmethod
    def _set(cls, serving: tuple[AnyioThreads, ...]) -> None:
        cls.serving = serving
        cls.by_loop = {each.loop: each for each in serving}


def _replacements() -> dict[str, Callable[..., Any]]:
    """Return what replaces the methods, by their names."""
    return {
        "run_sync_in_worker_thread": _run_sync,
        "current_default_thread_limiter": _current_limiter,
        "run_async_from_thread": _make_from_thread("run_async_from_thread", "anyio.from_thread.run"),
        "run_sync_from_thread": _make_from_thread("run_sync_from_thread", "anyio.from_thread.run_sync"),
    }


def _run_sync(cls: Any, func: Any, args: Any, abandon_on_cancel: bool = False, limiter: Any = None) -> Awaitable[Any]:
    loop = asyncio.get_running_loop()
    ours = AnyioThreads.by_loop.get(loop)
    if ours is None:
        original = _original("run_sync_in_worker_thread", cls)
        return original(func, args, abandon_on_cancel=abandon_on_cancel, limiter=limiter)  # type: ignore[no-any-return]
    return run_sync(ours, func, args, abandon_on_cancel, limiter)


def _current_limiter(cls: Any) -> Any:
    ours = AnyioThreads.by_loop.get(asyncio.get_running_loop())
    if ours is None:
        return _original("current_default_thread_limiter", cls)()
    work = work_on(ours.loop)
    threads = ours.default if work is None else work.threads
    if threads.gate is None:
        threads.gate = ThreadLimiter(threads)
    return threads.gate


def _make_from_thread(name: str, what: str) -> Callable[..., Any]:
    is_async = name == "run_async_from_thread"

    def from_thread(cls: Any, func: Any, args: Any, token: Any) -> Any:
        original = _original(name, cls)
        ours = AnyioThreads.by_loop.get(token or threadlocals.current_token.native_token)
        if ours is None:
            return original(func, args, token=token)
        with blocking(what, func, ours.loop_thread):
            nested = nested_below.set(nested_below.get() or Nest())
            try:
                return original(partial(begun, func) if is_async else func, args, token=token)
            finally:
                nested_below.reset(nested)

    return from_thread


def _original(name: str, cls: Any) -> Any:
    return AnyioThreads.originals[name].__get__(None, cls)
