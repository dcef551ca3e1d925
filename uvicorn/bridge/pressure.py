"""How a sender waits for a client that is behind: a thread by its stream's `Window`, a coroutine by `Drained`."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Generator
from functools import partial
from typing import Any, Final

from uvicorn.bridge.sink import Sink
from uvicorn.errors import ChannelClosed, ServerStopping
from uvicorn.wire.reply import Reply

__all__ = ["DRAINED", "Drained", "Window", "closed_error", "resolve"]

_THREAD_FACTOR: Final = 4  # x write_buffer; measured: 2 costs a quarter more for each chunk of 64 KiB, 8 saves little


class Window:
    """The bound of what the threads of one stream have on its way to the client.

    `_sent` counts what threads put, under the channel's lock; `_settled`, written by the loop alone,
    what the client's buffers took. A thread waits while the difference is above the mark: it adds an event of
    its own first and then looks at the counters again, and the loop writes the counter first and then sets all
    events, so no wake-up can be lost, however many threads share the stream.
    """

    __slots__ = ("_exchange", "_is_watching", "_pending", "_sent", "_settled", "_waiters")

    def __init__(self, exchange: Sink) -> None:
        self._exchange = exchange
        self._waiters: deque[threading.Event] = deque()
        self._sent = 0
        self._settled = 0
        self._pending = 0  # delivered, but still in the client's buffers; loop only
        self._is_watching = False

    def take(self, size: int) -> None:
        """Count what is about to be put. Runs on: a worker thread, under the channel's lock."""
        self._sent += size

    def wait(self) -> None:
        """Block while the client is more than the mark behind. Runs on: a worker thread.

        Raises: ChannelClosed, ServerStopping.
        """
        exchange = self._exchange
        if self._is_open():
            return
        exchange.set_waiting(True)
        try:
            while not self._is_open() and not exchange.is_lost:
                event = threading.Event()
                self._waiters.append(event)
                if not self._is_open() and not exchange.is_lost:
                    event.wait()
        finally:
            exchange.set_waiting(False)
        if exchange.is_lost:
            raise closed_error(exchange)

    def deliver(self, reply: Reply) -> None:
        """Write one reply; settle it when the client has caught up. Runs on: the loop."""
        self._exchange.reply(reply)
        self._delivered(len(reply[2]))

    def deliver_file(self, reply: Reply) -> None:
        """Have a part of a file sent; settle it when the client has taken it. Runs on: the loop."""
        size = reply[1].file.left
        self._exchange.reply(reply)
        self._delivered(size)

    def _delivered(self, size: int) -> None:
        exchange = self._exchange
        self._pending += size
        if exchange.is_lost or exchange.is_writable():
            self._settle()
        elif not self._is_watching:
            self._is_watching = True
            exchange.when_writable(self._settle)

    def _settle(self) -> None:
        exchange = self._exchange
        if self._is_watching and not exchange.is_lost and not exchange.is_writable():
            exchange.when_writable(self._settle)  # it was another exchange's turn to catch up
            return
        self._is_watching = False
        self._settled += self._pending
        self._pending = 0
        while self._waiters:
            self._waiters.popleft().set()

    def _is_open(self) -> bool:
        return self._sent - self._settled <= self._exchange.write_buffer * _THREAD_FACTOR


class Drained:
    """What is awaited until a client has caught up. Runs on: the loop."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Sink | None) -> None:
        self._exchange = exchange

    def __await__(self) -> Generator[Any, None, None]:
        exchange = self._exchange
        if exchange is None:
            return
        if exchange.is_lost:
            raise closed_error(exchange)
        # One turn of the loop at least: there other connections are served, and there the loss of this client
        # is told. Without it a stream to a client that reads fast, or that is gone, would block the loop.
        yield
        if exchange.is_lost:
            raise closed_error(exchange)
        while not exchange.is_writable():  # again: it may have been another exchange's turn to catch up
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            exchange.when_writable(partial(resolve, future))
            yield from future
            if exchange.is_lost:
                raise closed_error(exchange)


def resolve(future: asyncio.Future[None] | None) -> None:
    """Have who waits for a future go on, if anybody waits still."""
    if future is not None and not future.done():
        future.set_result(None)


DRAINED: Final = Drained(None)  # nothing is to be waited for


def closed_error(exchange: Sink) -> ChannelClosed:
    """Return the exception that says why an exchange takes nothing any more."""
    if exchange.is_stopping:
        return ServerStopping("the worker is stopping")
    return ChannelClosed("the client has left, or the exchange is over")
