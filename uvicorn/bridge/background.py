"""The calls for background messages: by the same pools, governor and hooks as those of requests, and behind them.

Theory of operation
-------------------
All on the loop, but for what a job does in its thread. A message is started when there is a thread for it as far as
anybody can tell: whoever brings messages asks for `most` first, and has no more under way. A synchronous consumer gets
a job that ranks behind the calls of requests (`ConsumerPool.submit_late`), and before them once it has waited for two
seconds; it is never refused and does not expire. An asynchronous one gets a task. That a call has ended comes to the
loop behind what the consumer has sent, and is told once, whichever way it ended: that is when a message is
acknowledged.

*The stop.* Nothing more is begun; what runs is waited for like a request. A job that no thread has begun is taken
back, and its message told to be for somebody else (`NotCalled`). At the end tasks are cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import get_ident
from time import monotonic
from typing import Any, Final

from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.dispatcher import Dispatcher
from uvicorn.bridge.jobs import CallJob
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.errors import ConsumeLater, NotCalled, ServerStopping
from uvicorn.messages import Message
from uvicorn.wire.reply import NO_FIELDS

__all__ = ["BackgroundCalls"]

_LOOK_SECONDS: Final = 0.01
_MOST_ON_LOOP: Final = 100  # arbitrary: a coroutine costs little, and what it asks for may not

#: called with what the consumer raised, or None
Ended = Callable[[BaseException | None], None]


class BackgroundCalls:
    """What runs the consumers of background messages.

    Args:
        dispatcher: what has the pools, the hooks, and the way to the loop.
        attend: returns what goes with a call for the request of this id (`Served.attended`), or None.
    """

    def __init__(self, dispatcher: Dispatcher, attend: Callable[[str], Any] | None = None) -> None:
        self._dispatcher = dispatcher
        self._attend = attend
        self._running: set[_Background] = set()
        self._is_stopped = False

    def __len__(self) -> int:
        return len(self._running)

    def most(self, consumer: Consumer) -> int:
        """Return how many calls of a consumer may run at once."""
        if consumer.is_async:
            return _MOST_ON_LOOP
        pool: ConsumerPool = consumer.pool or self._dispatcher.pool
        return pool.threads

    def start(self, consumer: Consumer, message: Message, ended: Ended, request_id: str | None = None) -> None:
        """Call a consumer; `ended` is called once, when it has returned or cannot be called any more.

        Args:
            request_id: of the request that has sent the message, if it has one.
        """
        call = _Background(consumer, message["channel"], ended, self)
        if request_id is not None and self._attend is not None:
            call.attended = self._attend(request_id)
        if self._is_stopped:
            call.end(NotCalled("the worker is stopping"))
            return
        self._running.add(call)
        dispatcher = self._dispatcher
        if consumer.is_async:
            task = dispatcher.make_task(_serve(call, message, dispatcher), consumer.name, call.served)
            dispatcher.running.requests[call.served] = task  # known to whoever waits, reports or cancels
        else:
            job = call.job = _Job(dispatcher, consumer, message, call.served)
            if call.attended is not None:
                job.enter(dispatcher.context_for(call.served))
            job.pool.submit_late(job)

    def begin_stopping(self) -> None:
        """Begin nothing more, and give back what no thread has begun."""
        self._is_stopped = True
        for call in tuple(self._running):
            if call.job is not None and call.job.pool.cancel(call.job):
                call.job.forget()

    async def settled(self, seconds: float) -> None:
        """Wait until all calls have been told to have ended, for so many seconds."""
        until = self._dispatcher.outbox.loop.time() + seconds
        while self._running and self._dispatcher.outbox.loop.time() < until:  # noqa: ASYNC110 (a moment)
            await asyncio.sleep(_LOOK_SECONDS)  # the last ones are on their way through the outbox

    def on_ended(self, call: _Background) -> None:
        """A call has ended."""
        self._running.discard(call)
        self._dispatcher.running.requests.pop(call.served, None)


class _Background:
    """One call, in the shape of the exchange of a request: for hooks, logs and the watch of threads.

    To `pre_request` and `post_request` it is a request with the method `MESSAGE` and the channel for its path, answered
    with 200, or 500 if the consumer raised.
    """

    method: Final = "MESSAGE"
    http_version: Final = "1.1"
    scheme: Final = ""
    is_http10: Final = False
    headers: Final[list[list[bytes]]] = []
    fields: Final = NO_FIELDS
    sent_bytes: Final = 0
    is_closed = is_lost = is_stopping = is_answered = False
    wants_call = True
    work = None
    attended: Any = None

    def __init__(self, consumer: Consumer, channel: str, ended: Ended, calls: BackgroundCalls) -> None:
        self.consumer: Final = consumer
        self.consumer_name = consumer.name
        self.path = self.shown_target = channel
        self.shown_line = f"a message of {channel}"
        self.started_at = asyncio.get_running_loop().time()
        self.status = 200
        self.job: _Job | None = None
        self._ended: Ended | None = ended
        self._calls = calls
        self.request = self.carrier = self.service = self  # all that is asked of these is here

    def addresses(self) -> tuple[None, None]:
        """Return no client and no server."""
        return None, None

    def end(self, error: BaseException | None) -> None:
        """The call has ended, or is given up."""
        ended, self._ended = self._ended, None
        if ended is not None:
            self._calls.on_ended(self)
            ended(error)

    @property
    def served(self) -> Any:
        """Itself, in the shape of an exchange."""
        return self

    def on_returned(self, error: BaseException | None) -> None:
        """The consumer has returned, or raised; to want its message later, or to be cancelled, is no failure."""
        if error is not None and not isinstance(error, (ConsumeLater, asyncio.CancelledError)):
            self.consumer.tally.errors += 1
        self.end(error)

    def on_not_called(self) -> None:
        """The task was cancelled before it began."""
        self.end(NotCalled("the worker is stopping"))

    def refuse(self, status: int, reason: str, retry_after: int = 0, setting: str = "other") -> None:
        """Give the message up: its thread is stuck, and the worker leaves."""
        self.end(ServerStopping(reason))

    def set_waiting(self, is_waiting: bool) -> None:
        """Mark the thread as blocked. Runs on: that thread."""
        if self.job is not None:
            self.job.is_waiting = is_waiting


class _Job(CallJob):
    """One call of a synchronous consumer in a thread."""

    __slots__ = ()

    def forget(self) -> None:
        """Give the message back: the consumer will not be called. Runs on: the loop."""
        self._message = None
        self.exchange.end(NotCalled("the worker is stopping"))

    def run(self) -> None:
        """Call the consumer. Runs on: a worker thread."""
        message, self._message = self._message, None
        if message is None:
            return
        self.started_at = monotonic()
        self.thread_id = get_ident()
        error: BaseException | None = None
        try:
            self._context.run(self._call, message)
            if self.later is not None:
                self.later.go()
        except BaseException as raised:
            error = raised
        del message
        self.on_call_ended()
        self._dispatcher.outbox.put(self.exchange.on_returned, error)

    def _call(self, message: Message) -> None:
        hooks, call = self._dispatcher.hooks, self.exchange
        try:
            if hooks is not None:
                hooks.before(call)
            self._consumer.call_plain(message)
        except BaseException:
            call.status = 500
            raise
        finally:
            if hooks is not None:
                hooks.after(call)


async def _serve(call: _Background, message: Message, dispatcher: Dispatcher) -> None:
    """Call a consumer on the loop."""
    hooks, began = dispatcher.hooks, monotonic()
    try:
        if hooks is not None:
            hooks.before(call)
        await call.consumer.call(message)
    except BaseException as error:
        call.status = 500
        call.on_returned(error)
    else:
        call.on_returned(None)
    finally:
        call.consumer.tally.add_run(monotonic() - began)
        if hooks is not None:
            hooks.after(call)
