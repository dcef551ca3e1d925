"""A call of a synchronous consumer for a socket: a job for the pool."""

from __future__ import annotations

import threading
from time import monotonic

from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.dispatcher import ConsumerJob, Dispatcher
from uvicorn.bridge.socket_task import Called
from uvicorn.messages import Message

__all__ = ["SocketJob"]


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
        # Of a socket that was never accepted it is there to the end: its disconnect is no request.
        is_request = dispatcher.hooks is not None and message["channel"] == "websocket.connect"
        self._handshake = socket.handshake if is_request else None

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
            # A copy: the consumer may have accepted and run still in another thread; a context is entered by one alone.
            self._context.copy().run(self._post)
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
