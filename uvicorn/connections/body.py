"""The body of one request on its way to the consumer. Loop thread only.

A body up to `body_buffer` bytes is gathered here and arrives whole. A larger one is handed on: as it comes
to a consumer that streams (asynchronous ones, and threads that ask for it), or into a spool for a
thread that wants it complete. A consumer that begins early (an ASGI application) gets what has come with the head, and
the rest as it comes. `on_ready` says when the consumer can be called.

When the response is complete and the body is not, the rest is skipped if it is short, so that the connection can be
kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.inbox import BodyChannel, ThreadBodyChannel
from uvicorn.bridge.spool import Spool
from uvicorn.connections.intake import BODY
from uvicorn.connections.service import Service
from uvicorn.errors import ChannelClosed, ClientError
from uvicorn.messages import Message

__all__ = ["RequestBody"]

_THREAD_FACTOR: Final = 16  # x body_buffer, measured: how far a client may be ahead of a thread; waking costs much


class Holding(Protocol):
    """What a body needs of the way on which it comes."""

    reasons: int  # why nothing more is taken from the client; 0 if it is

    def hold(self, reason: int) -> None:
        """Take no more, for this reason too."""

    def release(self, reason: int) -> None:
        """Take more, if this was the last reason not to."""


class RequestBody:
    """One body that comes in piece by piece.

    Args:
        expected: its content-length in bytes, or None if it is not known.
        intake: reading from the client: an `Intake`, or what opens the window of a stream.
        on_want: called when the body is first wanted, to say 100 Continue; None if the client does not wait for it.
        set_waiting: marks the consumer's thread as blocked in a channel; called in that thread.
        on_ready: called once, with the message when the consumer can be called, or with what went wrong.
    """

    __slots__ = (
        "_consumer", "_gathered", "_inbox", "_intake", "_is_ready", "_message", "_most", "_on_ready", "_on_want",
        "_service", "_spool", "is_wanted", "left", "set_waiting", "size",
    )  # fmt: skip

    def __init__(
        self,
        service: Service,
        consumer: Consumer,
        message: Message,
        expected: int | None,
        intake: Holding,
        on_want: Callable[[], None] | None,
        on_ready: Callable[[Message | None, Exception | None], None],
        set_waiting: Callable[[bool], None],
    ) -> None:
        self._service = service
        self._consumer = consumer
        self._message: Message | None = message
        self._intake = intake
        self._on_want = on_want
        self._on_ready = on_ready
        self.set_waiting = set_waiting
        self._gathered = bytearray()
        self._inbox: BodyChannel | ThreadBodyChannel | None = None
        self._spool: Spool | None = None
        self._is_ready = False
        self._most: int | None = None  # bytes of the body that are taken, while the rest is skipped
        self.is_wanted = False
        self.left = expected  # bytes still to come; None if that is not known
        self.size = 0
        _check_size(expected or 0, service.limits.request_body)

    def start(self, is_alone: bool) -> None:
        """Begin: call the consumer at once if it streams and the body is known to be large, or if it begins early.

        Args:
            is_alone: the head is all that came; else `on_paused` says when the rest of the read was fed.
        """
        if self._consumer.begins_early:
            if is_alone:
                self._stream()
        elif self._consumer.streams_body and (self.left or 0) > self._service.limits.body_buffer:
            self._stream()
        else:
            self.on_wanted()

    def feed(self, data: bytes) -> None:
        """Take a piece.

        Raises: ClientError 413.
        """
        self.size += len(data)
        if self.left is not None:
            self.left -= len(data)
        _check_size(self.size, self._service.limits.request_body)
        if self._most is not None:
            if self.size > self._most:
                raise ClientError(413, "the rest of a body that nobody reads is too long")
        elif self._inbox is not None:
            self._inbox.feed(data)
        elif self._spool is not None:
            self._spool.feed(data)
        else:
            self._gathered += data
            if self._consumer.begins_early:
                pass  # all of one read is one piece
            elif len(self._gathered) > self._service.limits.body_buffer:
                self._hand_on()

    def on_paused(self) -> None:
        """Nothing more was received for now: a consumer that begins early is called."""
        if self._consumer.begins_early and not self._is_ready:
            self._stream()

    def may_skip(self) -> bool:
        """Whether so little is missing, as far as that is known, that it is worth to keep the connection."""
        if self._on_want is not None and not self.is_wanted:
            return False  # nobody knows whether the client will send it
        return self._most is not None or (
            self._inbox is not None and (self.left or 0) <= self._service.limits.body_buffer
        )

    def skip(self) -> None:
        """Take no notice of the rest: the response is complete."""
        if self._most is None:
            self._most = self.size + self._service.limits.body_buffer
            self.is_wanted = True
            self.release()
            if self._inbox is not None:
                self._inbox.fail(ChannelClosed("the response is complete"))

    def end(self) -> None:
        """Mark the end of the body."""
        if self._inbox is not None:
            self._inbox.end()
        elif self._spool is not None:
            self._spool.end()
        else:
            if self._message is not None:
                self._message["body"] = bytes(self._gathered)
            self._ready(None)

    def fail(self, error: Exception) -> None:
        """Break off, because the client left or sent what is no body; a consumer that was not called never will be."""
        self._is_ready = True
        self._message = None
        if self._inbox is not None:
            self._inbox.fail(error)
        if self._spool is not None:
            self._spool.abandon()
            self._spool = None

    @property
    def is_slow(self) -> bool:
        """Whether the consumer has declared that its clients may send slowly."""
        return self._consumer.is_slow

    @property
    def is_awaited(self) -> bool:
        """Whether the client is waited for just now: nothing that it has sent is left to be taken."""
        if not self.is_wanted or self._intake.reasons:
            return False
        return self._inbox is None or self._most is not None or self._inbox.is_awaited

    # ---- what the reader asks for: a BodySource ----

    def on_wanted(self, _: object = None) -> None:
        """Somebody wants the body: a client that waits with it is told to go on."""
        if not self.is_wanted:
            self.is_wanted = True
            if self._on_want is not None:
                self._on_want()

    def hold(self) -> None:
        """Stop reading from the client."""
        self._intake.hold(BODY)

    def release(self) -> None:
        """Read on."""
        self._intake.release(BODY)

    def _hand_on(self) -> None:
        if self._consumer.streams_body:
            self._stream()
            return
        assert self._message is not None
        limit = self._service.limits.body_buffer
        self._message["body"] = bytes(self._gathered[:limit])
        self._spool = Spool(self._service.spools, self, self._ready)
        self._spool.feed(bytes(self._gathered[limit:]))
        self._gathered.clear()

    def _stream(self) -> None:
        assert self._message is not None
        high_water = self._service.limits.body_buffer
        if self._consumer.is_async:
            self._inbox = BodyChannel(self, high_water)
        else:
            self._inbox = ThreadBodyChannel(self, high_water * _THREAD_FACTOR, self._service.outbox)
        self._message["body"] = bytes(self._gathered)
        self._message["body_channel"] = self._inbox
        self._gathered.clear()
        self._ready(None)

    def _ready(self, error: Exception | None) -> None:
        if self._is_ready:
            return
        self._is_ready = True
        message, self._message = self._message, None  # the lifetime rule
        if self._spool is not None and message is not None and error is None:
            message["body_channel"] = self._spool.channel()
        self._on_ready(message, error)


def _check_size(size: int, limit: int) -> None:
    if limit and size > limit:
        raise ClientError(413, f"a body of {size} bytes or more, past limit_request_body")
