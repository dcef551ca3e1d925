"""The calls of sockets: one at a time for each, in order, and any number of sockets side by side.

Theory of operation
-------------------
All on the loop, but for `SocketJob.run`. `SocketCalls` is one socket's queue. It starts a call when none runs, and
the next one when that has *returned*: on the loop the task says so itself; a thread says so through the outbox, behind
all that the consumer has sent. So calls never overlap, and nothing of one call can come after the next has begun.

No thread is held between two messages: each call of a synchronous consumer is a job of its own in the common pool. When
the pool and its queue are full the call waits here, and `CallRunner` offers it again, at once when another socket's
call returns, else a few times a second, with one timer for all sockets. A call that waited longer than `queue_timeout`
is given up, and its socket is told.

*Bounded.* The queue itself takes what comes; its owner looks at `is_full`, and stops reading from the client. What is
called stands in `CallRunner._calls` until it has returned, so that a worker that stops knows what is left.

*Kept.* A consumer may leave a task behind that lasts as long as the socket (`SocketChannel.keep`); the calls feed it.
It stands in `CallRunner._kept`, and so it is waited for, reported and cancelled like a call.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import deque
from collections.abc import Coroutine, Iterator
from time import monotonic
from typing import Any, Final, Protocol, cast

from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.dispatcher import ConsumerJob, Dispatcher, Served
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.messages import Message

__all__ = ["CallRunner", "Called", "SocketCalls", "SocketJob"]

_RETRY_SECONDS: Final = 0.05  # while a call waits for a place in the pool; arbitrary


class Called(Served, Protocol):
    """What a call needs of its socket. All methods run on: the loop."""

    handshake: Any  # the exchange while the socket is not accepted, for Gunicorn's hooks

    def returned(self, _: object = None) -> None:
        """Learn that the call has ended, whichever way."""


class SocketCalls:
    """Queue the calls of one socket.

    Attributes:
        taken: how many were started; it grows as long as the consumer keeps up.
    """

    __slots__ = ("_bytes", "_is_running", "_queue", "_runner", "_socket", "taken")

    def __init__(self, runner: CallRunner, socket: Called) -> None:
        self._runner = runner
        self._socket = socket
        self._queue: deque[tuple[Consumer, Message, int]] | None = None  # made when it is first needed
        self._bytes = 0
        self._is_running = False
        self.taken = 0

    @property
    def waiting(self) -> int:
        """How many calls wait for the one that runs."""
        return len(self._queue) if self._queue is not None else 0

    def is_full(self, most: int, most_bytes: int) -> bool:
        """Whether more waits than this."""
        return self._queue is not None and (len(self._queue) >= most or self._bytes >= most_bytes)

    def put(self, consumer: Consumer, message: Message, size: int) -> None:
        """Call the consumer when its turn comes; `size` is what the message takes in memory, in bytes."""
        if self._is_running:
            if self._queue is None:
                self._queue = deque()
            self._queue.append((consumer, message, size))
            self._bytes += size
        else:
            self._is_running = True
            self.taken += 1
            self._runner.start(consumer, message, self._socket)

    def next(self) -> bool:
        """Start the next call, because one has returned; return False if there is none."""
        if not self._queue:
            self._is_running = False
            return False
        consumer, message, size = self._queue.popleft()
        self._bytes -= size
        self.taken += 1
        self._runner.start(consumer, message, self._socket)
        return True

    def clear(self) -> None:
        """Forget the calls that wait."""
        self._queue = None
        self._bytes = 0


class CallRunner:
    """Run the calls of all sockets of a worker."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._loop = dispatcher.outbox.loop
        self._calls: dict[Called, asyncio.Task[None] | SocketJob] = {}
        self._kept: dict[asyncio.Task[None], Called] = {}
        self._waiting: deque[SocketJob] = deque()
        self._abandoned: list[tuple[float, Called, asyncio.Task[None]]] = []
        self._retry: asyncio.TimerHandle | None = None
        self._is_stopped = False

    def start(self, consumer: Consumer, message: Message, socket: Called) -> None:
        """Call a consumer. When it has returned, or cannot be called, `socket.returned` is called."""
        if self._is_stopped:
            return
        if consumer.is_async:
            self._calls[socket] = task = self._dispatcher.make_task(self._run(consumer, message, socket), consumer.name)
            if socket.handshake is not None:
                socket.handshake.task = task
            return
        job = SocketJob(self._dispatcher, consumer, message, socket)
        self._calls[socket] = socket.job = job
        if socket.handshake is not None:
            socket.handshake.job = job
        if message["channel"] == "websocket.disconnect":
            job.pool.submit_beyond(job)  # it must run; there is one for each socket at most
        elif any(other.pool is job.pool for other in self._waiting) or not job.pool.submit(job):
            self._waiting.append(job)
            self._retry_later()

    def keep(self, call: Coroutine[Any, Any, None], name: str, socket: Called) -> None:
        """Run a coroutine beside the calls of a socket; `socket.failed` learns what it raises."""
        if self._is_stopped:
            call.close()
            return
        task = self._dispatcher.make_task(call, name)
        self._kept[task] = socket
        task.add_done_callback(self._kept_ended)

    def returned(self, socket: Called) -> None:
        """Learn that a call has ended; offer the pool what waits."""
        self._calls.pop(socket, None)
        if self._waiting:
            self._offer()

    def cancel(self, socket: Called, grace: float) -> None:
        """Learn that the client has left: cancel the task that runs for it, after `grace` seconds."""
        call = self._calls.get(socket)
        if isinstance(call, asyncio.Task):
            self._abandoned.append((self._loop.time() + grace, socket, call))

    def cancel_connect(self, socket: Called) -> bool:
        """Take back the call of `websocket.connect`, if no thread has begun it; return whether it was begun."""
        job = self._calls.get(socket)
        if isinstance(job, SocketJob):
            if job in self._waiting:
                self._waiting.remove(job)
                job.forget()
            elif job.pool.cancel(job):
                job.forget()
            return not job.is_forgotten
        return True

    def tick(self) -> None:
        """Do once a second what depends on time."""
        limit = monotonic() - self._dispatcher.queue_timeout
        while self._waiting and self._waiting[0].submitted_at <= limit:
            job = self._waiting.popleft()
            job.forget()
            job.exchange.refuse(503, "no thread became free in time", retry_after=1)
        now = self._loop.time()
        abandoned, self._abandoned = self._abandoned, []
        for due, socket, task in abandoned:
            if due > now and not task.done():
                self._abandoned.append((due, socket, task))
            else:
                self._cancel(socket, task, "the client has left")

    def running(self) -> Iterator[tuple[Called, asyncio.Task[None]]]:
        """Yield each socket whose consumer runs on the loop, or has a task there; the pool knows those in threads."""
        for socket, call in tuple(self._calls.items()):
            if isinstance(call, asyncio.Task):
                yield socket, call
        for task, socket in tuple(self._kept.items()):
            yield socket, task

    def sockets(self) -> tuple[Called, ...]:
        """Return the sockets whose consumer runs, or waits for a thread."""
        return tuple(self._calls)

    @property
    def is_idle(self) -> bool:
        """Whether no consumer of a socket runs, none waits and none is kept."""
        return not self._calls and not self._kept

    def abort(self) -> None:
        """Cancel every task, give up what waits, and begin nothing more, because the worker stops."""
        self._is_stopped = True
        waiting, self._waiting = self._waiting, deque()
        for job in waiting:
            job.forget()
        for socket, task in self.running():
            self._cancel(socket, task, "the worker is stopping")

    # ---- on the loop ----

    def _kept_ended(self, task: asyncio.Task[None]) -> None:
        socket = self._kept.pop(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            socket.failed(error)

    async def _run(self, consumer: Consumer, message: Message, socket: Called) -> None:
        hooks = self._dispatcher.hooks
        try:
            if hooks is not None and socket.handshake is not None:
                hooks.before(socket.handshake)
            await consumer.call(message)
        except BaseException as error:
            socket.failed(error)
        finally:
            del message  # the reply channel must be able to end
            socket.returned()

    def _cancel(self, socket: Called, task: asyncio.Task[None], reason: str) -> None:
        if task.done():
            return
        has_begun = inspect.getcoroutinestate(cast(Any, task.get_coro())) != inspect.CORO_CREATED
        task.cancel(reason)
        if not has_begun and task not in self._kept:  # it will never enter its `try`
            socket.returned()

    # ---- in the pool ----

    def _retry_later(self) -> None:
        if self._retry is None:
            self._retry = self._loop.call_later(_RETRY_SECONDS, self._offer_again)

    def _offer_again(self) -> None:
        self._retry = None
        self._offer()

    def _offer(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        full: set[ConsumerPool] = set()
        for job in waiting:
            if job.pool in full or not job.pool.submit(job):
                full.add(job.pool)
                self._waiting.append(job)
        if self._waiting:
            self._retry_later()


class SocketJob(ConsumerJob):
    """One call of a synchronous consumer for a socket; after `websocket.connect`, also Gunicorn's `post_request`."""

    __slots__ = ("_handshake", "is_forgotten", "socket", "thread_id")

    def __init__(self, dispatcher: Dispatcher, consumer: Consumer, message: Message, socket: Called) -> None:
        self.submitted_at = monotonic()
        self.started_at = 0.0
        self.is_over = False
        self.is_waiting = False
        self.exchange = self.socket = socket
        self.thread_id = 0
        self.is_forgotten = False
        self._dispatcher = dispatcher
        self._consumer = consumer
        self._message: Message | None = message
        self._context = dispatcher.context.copy()
        self._handshake = socket.handshake if dispatcher.hooks is not None else None

    def forget(self) -> None:
        """Let the message go: the consumer will not be called. Runs on: the loop."""
        if not self.is_forgotten:
            self.is_forgotten = True
            self._message = self._handshake = None
            self._dispatcher.outbox.put(self.socket.returned)

    def run(self) -> None:
        """Call the consumer, or `post_request`. Runs on: a worker thread."""
        message, self._message = self._message, None
        if message is None:
            self._context.run(self._post)
            return
        put = self._dispatcher.outbox.put
        self.started_at = monotonic()
        self.thread_id = threading.get_ident()
        try:
            self._context.run(self._call, message)
        except BaseException as error:
            put(self.socket.failed, error)
        del message  # before the end is told: the reply channel must be able to end
        self.is_over = True
        put(self.socket.returned)

    def response_ended(self) -> None:
        """Learn that the handshake was answered: have `post_request` called in the pool. Runs on: the loop."""
        if self._handshake is not None and self.started_at:
            self._message = None
            self.pool.submit_beyond(self)

    def set_waiting(self, is_waiting: bool) -> None:
        """Mark the job as waiting for the client, if it is this job's thread that waits. Runs on: that thread."""
        if self.thread_id == threading.get_ident():
            self.is_waiting = is_waiting

    def _call(self, message: Message) -> None:
        hooks = self._dispatcher.hooks
        if hooks is not None and self._handshake is not None:
            hooks.before(self._handshake)
        self._consumer.call_plain(message)

    def _post(self) -> None:
        handshake, self._handshake = self._handshake, None
        hooks = self._dispatcher.hooks
        if hooks is not None and handshake is not None:
            hooks.after(handshake)
