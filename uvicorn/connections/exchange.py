"""One request and what happens to it: the only owner of its state, with `Response`. Loop thread only.

Life of an exchange: made when the head of a request is complete; its reply is written as it comes
while the exchange is the first of its connection, and kept back (bounded) while an earlier one is not
complete; *closed* when it takes no reply any more, because the response is complete or because it is
*lost* (the client left, the consumer failed after the head, the worker stops).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from uvicorn.bridge.consumer import Consumer, advice_on
from uvicorn.bridge.jobs import CallJob
from uvicorn.bridge.work import Work
from uvicorn.connections.carrier import Carrier
from uvicorn.connections.response import Response
from uvicorn.errors import ChannelClosed, ChannelFull, ReadTimeout, is_all_full, is_full
from uvicorn.messages import Headers, Message
from uvicorn.wire.reply import NO_FIELDS
from uvicorn.wire.request_line import RequestLine

__all__ = ["Exchange", "Notice"]


class Exchange(Response):
    """One request, and its response.

    Args:
        carrier: what carries the response.
        request_line: of the request.
        persists: the client wants the connection kept (RFC 9112 section 9.3).
        now: loop time, seconds.
    """

    __slots__ = ("_was_looked_for", "headers", "is_answered", "job", "started_at", "task", "work")

    def __init__(
        self, carrier: Carrier, request_line: RequestLine, headers: Headers, persists: bool, now: float
    ) -> None:
        self.begin(carrier, request_line, headers, persists, now)

    def begin(self, carrier: Carrier, request_line: RequestLine, headers: Headers, persists: bool, now: float) -> None:
        """Set all there is: for who makes one for each request, with `__new__`, which is cheaper when compiled."""
        self.carrier = carrier
        self.request_line = request_line
        self.is_head = request_line.is_head
        self.persists = persists
        self.active_at = now
        self.attended = None
        self.status = 0
        self.fields = NO_FIELDS
        self.sent_bytes = 0
        self.is_request_complete = False
        self.is_closed = False
        self.is_lost = False
        self.is_stopping = False
        self.is_chunked = False
        self.consumer = None
        self._held = None
        self.feed = None

        self.headers = headers
        self.started_at = now
        self.task: asyncio.Task[None] | None = None
        self.job: CallJob | None = None
        self.work: Work | None = None  # of an ASGI application, when it is called
        self.is_answered = False
        self._was_looked_for = False

    def __repr__(self) -> str:
        state = "lost" if self.is_lost else "closed" if self.is_closed else self.status or "waiting"
        return f"<Exchange {self.shown_line} {self.consumer_name} {state}>"

    @property
    def wants_call(self) -> bool:
        """Whether the consumer is still to be called. Runs on: any thread."""
        return not self.is_closed

    def on_body_ready(self, consumer: Consumer, message: Message | None, error: object) -> None:
        """The body is here, or the consumer may be called while it comes; or it cannot be kept."""
        if self.is_closed:
            return
        service = self.carrier.service
        if message is not None and error is None:
            self.consumer = consumer
            service.dispatcher.dispatch(consumer, message, self)
        elif error is not None:
            service.log.error("Cannot keep a request body in a temporary file: %s", error)
            self.answer(500)

    def refuse(self, status: int, reason: str, retry_after: int = 0, setting: str = "other") -> None:
        """Answer instead of the consumer, and close the connection.

        Args:
            reason: for the debug log.
            setting: the one that says so, under which it is counted.
        """
        self.carrier.service.log_of(self).debug("%d to %s: %s", status, self.shown_line, reason)
        self.carrier.service.numbers.refuse(setting)
        self.answer(status, retry_after=retry_after)

    def on_failed(self, error: BaseException) -> None:
        """The consumer has raised: that is logged once, and answered with 500, or the connection is closed.

        ChannelFull before the response has begun, of `run_in_pool` or of a channel layer, is no failure: 503.
        """
        service = self.carrier.service
        if isinstance(error, (ChannelClosed, ReadTimeout)) and (self.is_closed or self.carrier.is_lost()):
            service.log_of(self).debug("%s ended: %s: %s", self.consumer_name, self.shown_line, error)
            return
        if isinstance(error, (asyncio.CancelledError, GeneratorExit)) and self.is_closed:
            return
        if not self.status and not self.is_closed and is_full(error):
            service.dispatcher.on_refused(str(error))
            self.refuse(503, str(error), retry_after=1)
            if is_all_full(error):
                return
        if self.consumer is not None:
            self.consumer.tally.errors += 1
        service.log_failure(self, error)
        if self.feed is not None and self.feed.is_whole:
            return  # its response is on its way, and complete
        self.answer(500, service.shown_error(error), persists=True)

    def on_value(self, result: object) -> None:
        """The consumer has returned something: if it was meant for the response, that is said."""
        advice = advice_on(result)
        if advice and not self.status and not self.is_closed:
            self.carrier.service.log_of(self).error("%s %s: %s", self.consumer_name, advice, self.shown_line)

    def on_not_called(self) -> None:
        """Its task was cancelled before it began: without this they and the reply channel would hold each other."""
        self.task = None

    def on_dropped(self, _: object = None) -> None:
        """Nobody holds the reply channel any more: 500 is answered, or the connection is closed."""
        if self.is_closed:
            return
        self.carrier.service.log_of(self).error(
            "%s let go of its reply channel %s: %s",
            self.consumer_name,
            "in the middle of a reply" if self.status else "without a reply",
            self.shown_line,
        )
        self.answer(500, persists=True)

    def read_aside(self, work: Callable[[], object], on_done: Callable[[object], None]) -> None:
        """Have a thread for files do some work; call back with what it has returned, or raised.

        Raises: ChannelFull if too much waits.
        """
        files = self.carrier.service.files
        if files.is_full:
            raise ChannelFull("too much waits for the disk")
        files.run(work, on_done)

    def is_abandoned(self) -> bool:
        """Whether the consumer has returned and the reply is open: True once, for a look by the garbage collector.

        A channel that somebody keeps stays open. One that is held by a cycle of references alone, as with a local
        variable that keeps an exception, would be let go only when the collector happens to run.
        """
        has_returned = (self.task is not None and self.task.done()) or (self.job is not None and self.job.is_over)
        if self.is_closed or self._was_looked_for or not has_returned:
            return False
        if self.feed is not None and self.feed.is_whole:
            return False
        self._was_looked_for = True
        return True

    def set_waiting(self, is_waiting: bool) -> None:
        """Mark the exchange's thread as blocked in a channel. Runs on: that thread."""
        job = self.job  # read once: the loop may let go of it meanwhile
        if job is not None:
            job.is_waiting = is_waiting


class Notice(Exchange):
    """What a consumer of `http.disconnect` replies to, in place of a client.

    Nothing is written: sending raises ChannelClosed.
    """

    __slots__ = ()

    def __init__(self, lost: Exchange, consumer: Consumer) -> None:
        super().__init__(lost.carrier, lost.request_line, lost.headers, False, lost.started_at)
        self.attended = lost.attended
        self.consumer = consumer
        self.is_closed = self.is_lost = True

    @property
    def wants_call(self) -> bool:
        """Whether the consumer is still to be called."""
        return True
