"""Which loop is run, and how: `asyncio.run` takes a factory since Python 3.12 only."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["loop_factory", "run_in_loop"]

_T = TypeVar("_T")


def loop_factory(loop: Any) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes a loop: of "auto", "uvloop", "asyncio", "none", "module:factory", or a callable.

    Raises: ValueError for another word; what the import raises.
    """
    if callable(loop):
        factory: Callable[[], asyncio.AbstractEventLoop] = loop
        return factory
    if loop == "none":
        return None
    if loop == "asyncio":
        return asyncio.SelectorEventLoop
    if loop in ("auto", "uvloop"):
        import uvloop

        new_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
        return new_loop
    module, colon, name = str(loop).partition(":")
    if not colon:
        raise ValueError(f"loop must be 'auto', 'uvloop', 'asyncio', 'none' or 'module:factory', not {loop!r}")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    made: Callable[[], asyncio.AbstractEventLoop] = found
    return made


def run_in_loop(main: Coroutine[Any, Any, _T], factory: Callable[[], asyncio.AbstractEventLoop] | None) -> _T:
    """Run a coroutine to its end, and then end the tasks, the generators and the executor of its loop.

    Raises: what the coroutine raises; RuntimeError in a thread whose loop runs. Blocks: until the end.
    """
    if sys.version_info >= (3, 11):
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(main)
    if factory is None:
        return asyncio.run(main)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        main.close()
        raise RuntimeError("a loop runs in this thread: await Server.serve() there")
    loop = factory()
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(main)
    finally:
        try:
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            asyncio.set_event_loop(None)
            loop.close()
