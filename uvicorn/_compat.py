"""A helper of the other package that other packages import (uvicorn-worker does)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from uvicorn.command.loops import run_in_loop

__all__ = ["asyncio_run", "iscoroutinefunction"]

_T = TypeVar("_T")


def asyncio_run(
    main: Coroutine[Any, Any, _T],
    *,
    debug: bool | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> _T:
    """Run a coroutine in a loop of its own. `debug` is what the environment says (PYTHONASYNCIODEBUG)."""
    return run_in_loop(main, loop_factory)
