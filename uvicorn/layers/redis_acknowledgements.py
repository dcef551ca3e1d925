"""What Redis is told of messages that are done with: for as long as it is away, it is told again. Loop thread only."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.errors import ChannelLayerUnavailable
from uvicorn.layers.log import Log
from uvicorn.layers.redis_publisher import Publisher
from uvicorn.layers.redis_scripts import Script

__all__ = ["Acknowledgements"]

_TRIED_SECONDS: Final = 60.0  # then the message comes again
_AGAIN_SECONDS: Final = 1.0


class Acknowledgements:
    """Scripts that end messages, one for each message."""

    def __init__(self, loop: asyncio.AbstractEventLoop, publisher: Publisher, log: Log) -> None:
        self._loop = loop
        self._publisher = publisher
        self._log = log

    def run(self, script: Script, keys: tuple[str, ...], *arguments: Any) -> None:
        """Run a script, again while Redis is away.

        In the loop's next turn: what the consumer has sent goes out there (`deferred.py`), and must reach Redis before.
        Otherwise a worker that is killed in between would have ended a message of which nothing came.
        """
        self._loop.call_soon(self._attempt, script, keys, arguments, self._loop.time() + _TRIED_SECONDS)

    def _attempt(self, script: Script, keys: tuple[str, ...], arguments: tuple[Any, ...], until: float) -> None:
        def again(error: BaseException) -> None:
            if self._loop.time() < until:
                self._loop.call_later(_AGAIN_SECONDS, self._attempt, script, keys, arguments, until)
            else:
                self._log.error("A message could not be acknowledged, and comes again: %s", error)

        def settled(future: asyncio.Future[Any]) -> None:
            if not future.cancelled() and (error := future.exception()) is not None:
                again(error)

        try:
            self._publisher.run(script, keys, *arguments).add_done_callback(settled)
        except ChannelLayerUnavailable as error:
            again(error)
