"""The jobs of the pool that call a consumer: for a request, and for a message of a socket."""

from __future__ import annotations

import contextvars
import threading
from time import monotonic
from typing import Any, Final, Protocol

from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.governor import Load
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.bridge.served import RequestHooks, Served
from uvicorn.bridge.tally import Measured
from uvicorn.messages import Message

__all__ = ["CallJob", "ConsumerJob", "Deferred", "SocketJob"]

_PATIENCE_SECONDS: Final = 5.0  # arbitrary: how long a thread waits to run post_request itself
_MOST_MEASURED: Final = 512  # calls that are not added up; arbitrary: under a millisecond of work


class Caller(Protocol):
    """What a job needs of the dispatcher."""

    @property
    def pool(self) -> ConsumerPool:
        """The pool without a name."""

    @property
    def outbox(self) -> Outbox:
        """The way back to the loop."""

    @property
    def measured(self) -> Measured:
        """What threads have measured."""

    @property
    def hooks(self) -> RequestHooks | None:
        """What to call before and after a consumer."""

    @property
    def context(self) -> contextvars.Context:
        """Each call runs in a copy of it."""


class Deferred(Protocol):
    """What a consumer has sent to groups and channels, until it has returned."""

    def go(self) -> None:
        """Hand it over, because the consumer has returned. Runs on: its thread. Blocks: while too much is under way."""


class CallJob:
    """One call of a synchronous consumer. Made on: the loop.

    Attributes:
        exchange: the request, or the socket, that it is for.
        submitted_at, started_at: time.monotonic(); `started_at` is 0 while it is queued.
        is_over: the consumer has returned.
        is_waiting: its thread is blocked in a channel of ours.
        later: what the consumer has sent to groups and channels, which goes out when it has returned, or None. Written
            by its thread.
        thread_id: of the thread that has called the consumer; 0 before.
    """

    __slots__ = (
        "_consumer", "_context", "_dispatcher", "_message", "exchange", "is_over", "is_waiting", "later",
        "started_at", "submitted_at", "thread_id",
    )  # fmt: skip

    def __init__(self, dispatcher: Caller, consumer: Consumer, message: Message, exchange: Served) -> None:
        self._begin(dispatcher, consumer, message, exchange)

    def _begin(self, dispatcher: Caller, consumer: Consumer, message: Message, exchange: Served) -> None:
        """Set what all jobs have, also for those that need not pay for `super().__init__`."""
        self.submitted_at = monotonic()
        self.started_at = 0.0
        self.is_over = False
        self.is_waiting = False
        self.later: Deferred | None = None
        self.thread_id = 0
        self.exchange: Any = exchange
        self._dispatcher = dispatcher
        self._consumer = consumer
        self._message: Message | None = message
        self._context = dispatcher.context.copy()
        if len(dispatcher.measured) > _MOST_MEASURED:
            dispatcher.measured.take()

    @property
    def load(self) -> Load:
        """What a call of the consumer costs."""
        return self._consumer.load

    @property
    def is_long(self) -> bool:
        """Whether a call of the consumer may take any time."""
        return self._consumer.is_long

    @property
    def name(self) -> str:
        """How logs call it."""
        return self._consumer.name

    @property
    def defers(self) -> bool:
        """Whether what its consumer sends to groups and channels waits until it has returned."""
        return self._consumer.defers

    @property
    def pool(self) -> ConsumerPool:
        """The pool that it runs in."""
        pool: ConsumerPool | None = self._consumer.pool
        return self._dispatcher.pool if pool is None else pool

    def enter(self, context: contextvars.Context) -> None:
        """Call the consumer in this context, and in no other. Runs on: the loop, before it is queued."""
        self._context = context

    def forget(self) -> None:
        """Let the message go: the consumer will not be called. Runs on: the loop."""
        raise NotImplementedError

    def expire(self) -> None:
        """Answer 503: no thread became free in time. Runs on: the loop."""
        self.forget()
        self.exchange.refuse(503, "no thread became free in time", retry_after=1, setting="queue_timeout")

    def run(self) -> None:
        """Call the consumer, or what is left to call after it. Runs on: a worker thread."""
        raise NotImplementedError

    def on_response_ended(self) -> None:
        """The response is over: `post_request` is called. Runs on: the loop."""
        raise NotImplementedError

    def on_call_ended(self) -> None:
        """The consumer has returned, or raised: what it took is handed over. Runs on: its thread."""
        self.later = None
        self.is_over = True
        began = self.started_at
        self._dispatcher.measured.hand_over(self._consumer.tally, began - self.submitted_at, monotonic() - began)


class ConsumerJob(CallJob):
    """One call for a request, and of the hooks around it."""

    __slots__ = ("_ended", "_has_left", "_posts")

    def __init__(self, dispatcher: Caller, consumer: Consumer, message: Message, exchange: Served) -> None:
        self._begin(dispatcher, consumer, message, exchange)
        has_hooks = dispatcher.hooks is not None
        self._ended = threading.Event() if has_hooks else None
        self._posts = [True] if has_hooks else []  # who pops it runs post_request: once, whoever comes first
        self._has_left = False  # the thread will not run post_request any more

    def forget(self) -> None:
        """Let the message go: the consumer will not be called, nor any hook. Runs on: the loop."""
        self._message = None
        self._posts.clear()

    def run(self) -> None:
        """Call the consumer, or what is left to call after it. Runs on: a worker thread."""
        message, self._message = self._message, None
        exchange = self.exchange
        if message is None:
            self._context.run(self._post)
            return
        if not exchange.wants_call:  # the client left between the loop's last look and ours
            self._posts.clear()
            return
        self.started_at = monotonic()
        self.thread_id = threading.get_ident()
        try:
            self._context.run(self._call, message)
            if self.later is not None:
                self.later.go()
        except BaseException as error:
            self._dispatcher.outbox.put(exchange.on_failed, error)
        self.on_call_ended()
        if self._ended is None:
            return
        del message  # before the wait: the lifetime rule
        self._ended.wait(_PATIENCE_SECONDS if exchange.is_answered else 0)
        self._has_left = True
        if self._ended.is_set():
            self._context.run(self._post)

    def on_response_ended(self) -> None:
        """The response is over: `post_request` is called here, if the thread has not waited for it.

        Runs on: the loop. The loop sets the event and then looks at `_has_left`; the thread sets `_has_left`
        and then looks at the event: one of them sees the other, and `_posts` lets only one of them pass.
        """
        if self._ended is not None and self._posts:
            self._ended.set()
            if self._has_left:
                self.pool.submit_beyond(self)

    def _call(self, message: Message) -> None:
        hooks = self._dispatcher.hooks
        if hooks is not None:
            hooks.before(self.exchange)
        result = self._consumer.call_plain(message)
        if result is not None:
            self._dispatcher.outbox.put(self.exchange.on_value, result)

    def _post(self) -> None:
        try:
            self._posts.pop()
        except IndexError:
            return
        hooks = self._dispatcher.hooks
        if hooks is not None:
            hooks.after(self.exchange)
        self.exchange.job = None  # they hold each other


class SocketJob(CallJob):
    """One call for a message of a socket; after `websocket.connect`, also Gunicorn's `post_request`."""

    __slots__ = ("_handshake", "is_forgotten")

    def __init__(self, dispatcher: Caller, consumer: Consumer, message: Message, socket: Served) -> None:
        super().__init__(dispatcher, consumer, message, socket)
        self.is_forgotten = False
        # Of a socket that was never accepted it is there to the end: its disconnect is no request.
        is_request = dispatcher.hooks is not None and message["channel"] == "websocket.connect"
        self._handshake = self.exchange.handshake if is_request else None

    def forget(self) -> None:
        """Let the message go: the consumer will not be called. Runs on: the loop."""
        if not self.is_forgotten:
            self.is_forgotten = True
            self._message = self._handshake = None
            self._dispatcher.outbox.put(self.exchange.on_returned)

    def run(self) -> None:
        """Call the consumer, or `post_request`. Runs on: a worker thread."""
        message, self._message = self._message, None
        if message is None:
            # A copy: the consumer may have accepted and run still in another thread; a context is entered by one alone.
            self._context.copy().run(self._post)
            return
        put = self._dispatcher.outbox.put
        self.started_at = monotonic()
        self.thread_id = threading.get_ident()
        try:
            self._context.run(self._call, message)
            if self.later is not None:
                self.later.go()
        except BaseException as error:
            put(self.exchange.on_failed, error)
        del message  # before the end is told: the lifetime rule
        self.on_call_ended()
        put(self.exchange.on_returned)

    def on_response_ended(self) -> None:
        """The handshake was answered: `post_request` is called in the pool. Runs on: the loop."""
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
        result = self._consumer.call_plain(message)
        if result is not None:
            self._dispatcher.outbox.put(self.exchange.on_value, result)

    def _post(self) -> None:
        handshake, self._handshake = self._handshake, None
        hooks = self._dispatcher.hooks
        if hooks is not None and handshake is not None:
            hooks.after(handshake)
