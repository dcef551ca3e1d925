"""One task for the asynchronous calls of one socket.

Theory of operation
-------------------
To make a task for each message costs more than a small consumer does. So a `SocketTask` makes one call after the other:
it calls, tells the socket that the call has returned, and waits for the next one. Loop thread only.

*Begun at once.* While it waits, the task hangs on its `SocketTask`, which is what asyncio calls a future-compatible
object: the task hands over what wakes it up. `begin` calls that directly, in the task's own context, so that a consumer
that need not wait has answered before the loop's next turn. If another task is at work (`begin` is then a part of what
it does), or the caller wants others to be served first, the loop does it in its next turn.

*As if each call had its own.* The context is fresh: after each call it must be what it was before the first, or the
task ends and the next call gets another one. So it does after a call that was cancelled, or has left a callback with
the task; and after each call where the application has set a task factory. All that a consumer can see is that
`asyncio.current_task()` is the same one again.

*Only while it pays.* A task that has waited for a second ends (`tick`), and so does that of `websocket.connect`: an
idle socket has none.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Callable, Generator, Sized
from time import monotonic
from typing import Any, Final, Protocol

from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.dispatcher import Dispatcher
from uvicorn.bridge.served import ServedSocket
from uvicorn.messages import Message

__all__ = ["Queue", "SocketTask"]


class Queue(Protocol):
    """What a task needs of the queue that it serves."""

    is_running: bool  # a call runs, or is about to
    keeps_task: bool  # another call is likely to come

    @property
    def backlog(self) -> Sized | None:
        """The calls that wait."""

    def on_task_ended(self, task: SocketTask) -> None:
        """The task takes no further call. Idempotent."""


class SocketTask:
    """The task that makes the calls of one socket, one after the other.

    Attributes:
        task: the task itself, an `asyncio.Task`; None before `start`.
        number: how many calls were begun.
    """

    __slots__ = (
        "_asyncio_future_blocking", "_consumer", "_context", "_dispatcher", "_is_last", "_items", "_loop", "_message",
        "_queue", "_running", "_seen", "_wake_up", "number", "socket", "task",
    )  # fmt: skip

    def __init__(
        self, dispatcher: Dispatcher, queue: Queue, socket: ServedSocket, consumer: Consumer, message: Message
    ) -> None:
        self._dispatcher = dispatcher
        self._running = dispatcher.running
        self._loop = dispatcher.outbox.loop
        self._queue = queue
        self.socket = socket
        self._consumer = consumer
        self._message: Message | None = message  # of the call to be made
        self._wake_up: Callable[[SocketTask], object] | None = None  # there while the task waits
        self._context = dispatcher.context
        self._items = dispatcher.context_items  # of the context in which each call begins
        if dispatcher.is_attended and socket.attended is not None:
            self._items = tuple(socket.attended.context.items())
        self._asyncio_future_blocking = False
        self._is_last = dispatcher.has_task_factory  # the task ends with the call that runs
        self._seen = 0
        self.number = 1
        self.task: Any = None

    def start(self) -> None:
        """Make the first call, in the loop's next turn."""
        self.task = self._dispatcher.make_task(self._serve(), self._consumer.name, self.socket)
        self._running.sockets[self.socket] = self.task

    def begin(self, consumer: Consumer, message: Message, is_now: bool = False) -> None:
        """Make a call, when the last one has returned.

        Args:
            is_now: at once, if possible; otherwise in the loop's next turn.
        """
        if consumer is not self._consumer:
            self._consumer = consumer
            self.task.set_name(consumer.name)
        self._message = message
        self._running.sockets[self.socket] = self.task
        self.number += 1
        wake_up = self._wake_up
        if wake_up is None:
            return  # called from within the task, which looks
        self._wake_up = None
        if is_now:
            try:
                self._context.run(wake_up, self)
                return
            except RuntimeError:  # another task is at work: this one was not entered
                pass
        self._loop.call_soon(wake_up, self, context=self._context)

    def end(self) -> None:
        """End soon, if no call runs."""
        if self._wake_up is not None:
            self._queue.on_task_ended(self)
            self.cancel()

    def tick(self) -> None:
        """End if no call was begun since the last tick."""
        if self._seen == self.number:
            self.end()
        self._seen = self.number

    def give_up(self) -> None:
        """Leave what comes to another task."""
        self._queue.on_task_ended(self)
        self._message = None
        if self._running.sockets.get(self.socket) is self.task:
            self._running.on_returned(self.socket)
            self.socket.on_returned()

    # ---- the task ----

    async def _serve(self) -> None:
        queue, socket = self._queue, self.socket
        hooks = self._dispatcher.hooks
        try:
            while (message := self._message) is not None:
                self._message = None
                tally, began = self._consumer.tally, monotonic()
                try:
                    if hooks is not None and message["channel"] == "websocket.connect":
                        hooks.before(socket.handshake)
                    await self._consumer.call(message)
                except BaseException as error:
                    self._is_last = self._is_last or not isinstance(error, Exception)
                    socket.on_failed(error)
                message = None  # the reply channel must be able to end
                tally.add_run(monotonic() - began)
                if self._is_last or not self._is_as_new():
                    return
                self._running.on_returned(socket)
                if queue.backlog:
                    socket.on_returned()
                    await asyncio.sleep(0)  # others are served between two calls
                    continue
                queue.is_running = False
                if queue.keeps_task:
                    await self
        finally:  # cancelled between two calls, too
            self.give_up()

    def _is_as_new(self) -> bool:
        """Whether the call that has ended left nothing that the next one could see."""
        before = self._items
        context = contextvars.copy_context()
        if len(context) != len(before) or self.task._callbacks:  # not public, and yet there is no other way
            return False
        if before and any(context.get(variable) is not value for variable, value in before):
            return False
        return sys.version_info < (3, 11) or not self.task.cancelling()

    # ---- what a task asks of a future ----

    result: Final = type(None)  # called without arguments it returns None: what the task has waited for

    def __await__(self) -> Generator[Any, None, None]:
        self._asyncio_future_blocking = True
        yield self

    def add_done_callback(self, callback: Callable[[SocketTask], object], *, context: contextvars.Context) -> None:
        """The task waits: `callback` wakes it up, in this context. Called by asyncio."""
        self._wake_up = callback
        self._context = context

    def cancel(self, msg: Any = None) -> bool:
        """Wake the task up, because it is cancelled while it waits; being cancelled is its own affair."""
        wake_up, self._wake_up = self._wake_up, None
        if wake_up is not None:
            self._loop.call_soon(wake_up, self, context=self._context)
        return False
