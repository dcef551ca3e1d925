"""What frameworks hand to threads, in our pools: installed when a server starts, removed when it stops.

Three libraries are asked, each where it is narrowest: anyio's backend (`anyio_threads.py`), the loop's default
executor (`bridge/loop_executor.py`), and asgiref's thread-sensitive context (`sensitive.py`). Nothing is replaced when
this package is imported, nor for any other loop than the server's own. A library that is imported later is found at a
tick.
"""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module
from typing import Any

from uvicorn.applications.anyio_tokens import Tokens
from uvicorn.applications.sensitive import AsgirefSeam, can_lease, close_connections, is_in_async_to_sync, uses_asgiref
from uvicorn.bridge.dispatcher import Dispatcher
from uvicorn.bridge.framework_calls import nested_tests
from uvicorn.bridge.loop_executor import LoopExecutor, give_back, lend
from uvicorn.bridge.outbox import Log
from uvicorn.bridge.sampler import PoolSampler

__all__ = ["Frameworks"]


class Frameworks:
    """Our threads, lent to the frameworks of one worker. All methods run on: the loop's thread.

    Args:
        is_governed: what keeps its own threads is governed as far as it can be.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, dispatcher: Dispatcher, log: Log, is_governed: bool = True
    ) -> None:
        self._loop = loop
        self._dispatcher = dispatcher
        self._log = log
        self._anyio: Any = None
        self._was_asked = False
        self._keeps_own = False
        self._is_governed = is_governed
        self._tokens: Tokens | None = None
        self._executor: LoopExecutor | None = None
        self._asgiref: AsgirefSeam | None = None

    def install(self) -> None:
        """Send to our pools what is imported now, and say so."""
        threads = self._dispatcher.frameworks[self._dispatcher.pool]
        self._executor = LoopExecutor(threads, self._dispatcher.outbox.loop_thread)
        lend(self._loop, self._executor)
        nested_tests.append(is_in_async_to_sync)
        if self._dispatcher.shared is not None:
            self._dispatcher.shared.extra.on_retire = close_connections
        self.look()
        ours = [f"asyncio ({type(self._loop).__module__.partition('.')[0]})"]
        ours += [f"anyio {_version('anyio')}"] if self._anyio is not None else []
        ours += [f"asgiref {_version('asgiref')}"] if "asgiref.sync" in sys.modules else []
        say = self._log.info if len(ours) > 1 else self._log.debug  # asyncio is there always
        say("Threads of frameworks are ours: %s", ", ".join(ours))

    def look(self) -> None:
        """Look whether anyio or asgiref was imported meanwhile; called once a second."""
        self._look_at_asgiref()
        if self._keeps_own and self._is_governed and self._loop.is_running():
            self._govern()
        if self._was_asked or "anyio" not in sys.modules:
            return
        self._was_asked = True
        try:
            seam = import_module("uvicorn.applications.anyio_threads")
            reason = seam.reason_against()
        except (ImportError, AttributeError) as error:
            reason = f"anyio {_version('anyio')} is not as expected ({error})"
        if reason:
            self._log.warning("anyio keeps its own threads: %s", reason)
            self._keeps_own = True
            return
        outbox = self._dispatcher.outbox
        self._anyio = seam.AnyioThreads(
            self._loop, outbox.loop_thread, self._dispatcher.frameworks[self._dispatcher.pool]
        )
        self._anyio.install()

    def _look_at_asgiref(self) -> None:
        """Take asgiref's calls outside of requests; each request and each socket has a lease (`lifecycle.py`)."""
        shared = self._dispatcher.shared
        if self._asgiref is None and shared is not None and uses_asgiref() and can_lease():
            self._asgiref = AsgirefSeam(shared.aside, self._dispatcher.outbox, shared.extra)
            self._asgiref.install()

    def _govern(self) -> None:
        """Have the governor set the tokens of the limiter of an anyio that keeps its own threads."""
        if self._tokens is None:
            limiter = import_module("anyio.to_thread").current_default_thread_limiter()
            self._tokens = Tokens(limiter)
            PoolSampler(self._tokens, self._dispatcher.outbox, self._log)
        self._tokens.look()

    def remove(self) -> None:
        """Put everything back."""
        if self._anyio is not None:
            self._anyio.remove()
            self._anyio = None
        if self._executor is not None:
            give_back(self._loop, self._executor)
            self._executor = None
        if self._asgiref is not None:
            self._asgiref.remove()
            self._asgiref = None
        if is_in_async_to_sync in nested_tests:
            nested_tests.remove(is_in_async_to_sync)


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # where there is a framework

    try:
        return version(name)
    except PackageNotFoundError:
        return "(unknown)"
