"""The calls of sockets: one at a time for each, in order, and any number of sockets side by side.

Theory of operation
-------------------
All on the loop. `SocketCalls` is one socket's queue. It starts a call when none runs, and
the next one when that has *returned*: on the loop the task (`socket_task.py`) says so itself; a thread says so through
the outbox, behind all that the consumer has sent. So calls never overlap, and nothing of one call can come after the
next has begun.

No thread is held between two messages: each call of a synchronous consumer is a job of its own in the common pool. When
the pool and its queue are full the call waits here, and `CallRunner` offers it again, at once when another socket's
call returns, else a few times a second, with one timer for all sockets. A call that waited longer than `queue_timeout`
is given up, and its socket is told.

*Bounded.* The queue itself takes what comes; its owner looks at `is_full`, and stops reading from the client. What is
called stands in the registry (`running.py`) until it has returned, so that a worker that stops knows what is left.

*Kept.* A consumer may leave a task behind that lasts as long as the socket (`SocketChannel.keep`); the calls feed it.
It stands in the registry, and so it is waited for, reported and cancelled like a call.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from time import monotonic
from typing import Any, Final

from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.dispatcher import Dispatcher
from uvicorn.bridge.jobs import SocketJob
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.bridge.served import ServedSocket
from uvicorn.bridge.socket_task import SocketTask
from uvicorn.messages import Message

__all__ = ["CallRunner", "SocketCalls"]

_RETRY_SECONDS: Final = 0.05  # while a call waits for a place in the pool; arbitrary


class SocketCalls:
    """The calls of one socket that wait.

    Attributes:
        backlog: the calls that wait for the one that runs; None before the first one.
        is_running: a call runs, or is about to.
        taken: how many were started; it grows as long as the consumer keeps up.
        task: makes the calls of asynchronous consumers; None while it is not worth to have one.
        keeps_task: it is worth it: messages come.
    """

    __slots__ = ("_bytes", "_is_ended", "_runner", "_socket", "backlog", "is_running", "keeps_task", "taken", "task")

    def __init__(self, runner: CallRunner, socket: ServedSocket) -> None:
        self._runner = runner
        self._socket = socket
        self.backlog: deque[tuple[Consumer, Message, int]] | None = None
        self._bytes = 0
        self._is_ended = False
        self.is_running = False
        self.taken = 0
        self.task: SocketTask | None = None
        self.keeps_task = False

    @property
    def waiting(self) -> int:
        """How many calls wait for the one that runs."""
        return len(self.backlog) if self.backlog is not None else 0

    def is_full(self, most: int, most_bytes: int) -> bool:
        """Whether more waits than this."""
        return self.backlog is not None and (len(self.backlog) >= most or self._bytes >= most_bytes)

    def put(self, consumer: Consumer, message: Message, size: int) -> None:
        """Call the consumer when its turn comes; `size` is what the message takes in memory, in bytes."""
        if self.is_running:
            if self.backlog is None:
                self.backlog = deque()
            self.backlog.append((consumer, message, size))
            self._bytes += size
        else:
            self.is_running = True
            self._start(consumer, message)

    def call_now(self, consumer: Consumer, message: Message) -> bool:
        """Call the consumer at once, if it can be; do nothing and return False if a call runs."""
        if self.is_running:
            return False
        self.is_running = True
        if self.task is not None and consumer.is_async:
            self.taken += 1
            self.task.begin(consumer, message, True)
        else:
            self._start(consumer, message)
        return True

    def next(self) -> bool:
        """Start the next call, because one has returned; return False if there is none."""
        if not self.backlog:
            self.is_running = False
            return False
        consumer, message, size = self.backlog.popleft()
        self._bytes -= size
        self._start(consumer, message)
        return True

    def clear(self) -> None:
        """Forget the calls that wait."""
        self.backlog = None
        self._bytes = 0

    def cancel(self, grace: float) -> None:
        """Cancel the call that runs on the loop, after `grace` seconds: the client has left."""
        self._runner.running.cancel(self._socket, grace)

    def on_not_called(self) -> None:
        """The task was cancelled before it began."""
        if self.task is not None:
            self.task.give_up()

    def end(self) -> None:
        """Take no more calls than those that wait: the client has left."""
        self._is_ended = True
        self.keeps_task = False
        if self.task is not None:
            self.task.end()

    def on_task_ended(self, task: SocketTask) -> None:
        """The task takes no further call."""
        if self.task is task:
            self.task = None
        self._runner.on_task_ended(task)

    def _start(self, consumer: Consumer, message: Message) -> None:
        self.taken += 1
        if not consumer.is_async:
            self._runner.start_job(consumer, message, self._socket)
        elif self.task is not None:
            self.task.begin(consumer, message)
        else:
            self.keeps_task = self.taken > 1 and not self._is_ended
            self.task = self._runner.start_task(consumer, message, self._socket, self)


class CallRunner:
    """What starts the calls of all sockets of a worker.

    Attributes:
        running: where they are written down.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._loop = dispatcher.outbox.loop
        self.running: Final = dispatcher.running
        self._tasks: set[SocketTask] = set()  # those that wait for a call, too
        self._waiting: deque[SocketJob] = deque()
        self._retry: asyncio.TimerHandle | None = None

    def start_task(
        self, consumer: Consumer, message: Message, socket: ServedSocket, queue: SocketCalls
    ) -> SocketTask | None:
        """Call an asynchronous consumer in a new task. When it has returned `socket.on_returned` is called."""
        if self.running.is_stopped:
            return None
        task = queue.task = SocketTask(self._dispatcher, queue, socket, consumer, message)
        self._tasks.add(task)
        task.start()
        if socket.handshake is not None:
            socket.handshake.task = task.task
        return queue.task

    def start_job(self, consumer: Consumer, message: Message, socket: ServedSocket) -> None:
        """Call a synchronous consumer. When it has returned, or cannot be called, `socket.on_returned` is called."""
        if self.running.is_stopped:
            return
        job = SocketJob(self._dispatcher, consumer, message, socket)
        if self._dispatcher.is_attended:
            job.enter(self._dispatcher.context_for(socket))
        self.running.sockets[socket] = socket.job = job
        if socket.handshake is not None:
            socket.handshake.job = job
        if message["channel"] == "websocket.disconnect":
            job.pool.submit_beyond(job)  # it must run; there is one for each socket at most
        elif any(other.pool is job.pool for other in self._waiting) or not job.pool.submit(job):
            self._waiting.append(job)
            self._retry_later()

    def on_task_ended(self, task: SocketTask) -> None:
        """A task takes no further call."""
        self._tasks.discard(task)

    def keep(self, call: Coroutine[Any, Any, None], name: str, socket: ServedSocket) -> None:
        """Run a coroutine beside the calls of a socket; what it raises comes to `socket.on_failed`."""
        if self.running.is_stopped:
            call.close()
        else:
            self.running.keep(self._dispatcher.make_task(call, name, socket), socket)

    def on_returned(self, socket: ServedSocket) -> None:
        """A call has ended: the pool is offered what waits."""
        self.running.on_returned(socket)
        if self._waiting:
            self._offer()

    def cancel_connect(self, socket: ServedSocket) -> bool:
        """Take back the call of `websocket.connect`, if no thread has begun it; return whether it was begun."""
        job = self.running.sockets.get(socket)
        if not isinstance(job, SocketJob):
            return True
        if job in self._waiting:
            self._waiting.remove(job)
            job.forget()
        elif not job.started_at:  # or it is only its post_request that waits
            self.running.take_back(job)
        return not job.is_forgotten

    def tick(self) -> None:
        """Do once a second what depends on time."""
        limit = monotonic() - self._dispatcher.queue_timeout
        while self._waiting and self._waiting[0].submitted_at <= limit:
            job = self._waiting.popleft()
            job.forget()
            job.exchange.refuse(503, "no thread became free in time", retry_after=1, setting="queue_timeout")
        for task in tuple(self._tasks):
            task.tick()

    def abort(self) -> None:
        """Give up what waits, because the worker stops; the registry cancels what runs."""
        waiting, self._waiting = self._waiting, deque()
        for job in waiting:
            job.forget()
        for task in tuple(self._tasks):
            task.end()

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
