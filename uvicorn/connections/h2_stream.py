"""One stream of an HTTP/2 connection: what carries one exchange, and what takes in its body. Loop thread only.

Life of a stream: made when its head is complete; *sent* when the last of the response is with the engine; *over* when
the client has sent all of its request as well, or one of both has reset it. What it sends is in `h2_sending.py`.

The window opens with what the consumer takes (`h2_credit.py`): the body of a stream that nobody reads costs no more
than `http2_initial_window_size` beyond what the body itself may keep.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from uvicorn.bridge.consumer import Consumer
from uvicorn.connections.body import RequestBody
from uvicorn.connections.exchange import Exchange
from uvicorn.connections.h2_credit import Credit
from uvicorn.connections.h2_owner import StreamOwner
from uvicorn.connections.h2_sending import SendingStream
from uvicorn.connections.pipeline import let_go
from uvicorn.errors import ChannelClosed, ClientError, ReadTimeout
from uvicorn.messages import Message
from uvicorn.wire.h2_engine import CANCEL, INTERNAL_ERROR, NO_ERROR
from uvicorn.wire.priority import Priority
from uvicorn.wire.reply import Fields

__all__ = ["Stream"]

_SWITCHING: Final = 101


class Stream(SendingStream):
    """One stream.

    Attributes:
        body: the body of the request, while it comes in.
        is_request_ended: the client has sent all that it sends on this stream.
    """

    __slots__ = (
        "_credit", "_is_client_gone", "_is_wide", "body", "body_at", "is_request_ended", "sending", "taking",
    )  # fmt: skip

    def __init__(self, owner: StreamOwner, stream_id: int, priority: Priority) -> None:
        super().__init__(owner.service)
        self._set_up(owner, stream_id, priority)
        self.body: RequestBody | None = None
        self.body_at = 0.0  # when the client last sent something of it
        self._credit: Credit | None = None  # made with the first look at it: most requests have no body
        self.sending: Any = None  # how fast the client sends; see h2_watch.py
        self.taking: Any = None
        self._is_wide = self._is_client_gone = False
        self.is_request_ended = False

    # ---- the request ----

    @property
    def credit(self) -> Credit:
        """What opens the window."""
        if self._credit is None:
            self._credit = Credit(self.owner, self.id)
        return self._credit

    def begin(self, consumer: Consumer | None, message: Message, length: int, expects: bool, is_ended: bool) -> bool:
        """Call the consumer, now or when its body has come.

        Args:
            length: the content-length, or -1.
            expects: the client waits for 100 Continue.

        Returns: whether `RequestBody.on_paused` is to be called when nothing more has come for now.
        Raises: ClientError 413.
        """
        exchange = self.exchange
        self.is_request_ended = exchange.is_request_complete = is_ended
        if consumer is None:
            exchange.answer(404, persists=True)
        elif is_ended:
            exchange.consumer = consumer
            self.service.dispatcher.dispatch(consumer, message, exchange)
        else:
            self.body_at = self.service.loop.time()
            self.body = RequestBody(
                self.service,
                consumer,
                message,
                length if length >= 0 else None,
                self.credit,
                partial(self._say_continue) if expects else None,
                partial(exchange.on_body_ready, consumer),
                exchange.set_waiting,
            )
            self.body.start(is_alone=False)
            return True
        return False

    def data_came(self, data: bytes, is_ended: bool) -> None:
        """Take in a piece of the body."""
        if self.tunnel is not None:
            self._data_for_tunnel(data, is_ended)
            return
        body = self.body
        if body is None:
            self.credit.came(len(data))
            return
        self.body_at = self.service.loop.time()
        if data:
            try:
                body.feed(data)
            except ClientError as error:
                self.credit.came(len(data))
                self.refuse(error)
                return
            self.credit.came(len(data))
            if not self._is_wide and body.size > 2 * self.service.limits.http2.window_size and not self.credit.reasons:
                self._widen()
        if is_ended and self.body is body:
            self.body = None
            self.is_request_ended = self.exchange.is_request_complete = True
            body.end()
            if self.is_sent:
                self._end()

    def _widen(self) -> None:
        """Let the client be further ahead, if the window of the connection has room for that."""
        owner = self.owner
        limits = self.service.limits.http2
        if owner.wide_streams < limits.most_wide and limits.wide_window > limits.window_size:
            self._is_wide = True
            owner.wide_streams += 1
            owner.engine.widen(self.id, limits.wide_window)

    def refuse(self, error: ClientError) -> None:
        """Answer a request that is not complete, or not served."""
        exchange = self.exchange
        self.service.log.info("%d to %s: %s", error.status, exchange.shown_line, error.reason)
        self.fail_body(ReadTimeout(error.reason) if error.status == 408 else ChannelClosed(error.reason))
        if exchange.is_closed:
            self.reset(NO_ERROR)
        exchange.answer(error.status)

    def fail_body(self, error: Exception) -> None:
        """Break off the body."""
        body, self.body = self.body, None
        if body is not None:
            body.fail(error)

    def _data_for_tunnel(self, data: bytes, is_ended: bool) -> None:
        assert self.tunnel is not None
        self.credit.came(len(data))  # first: the socket may want no more of it
        if data:
            self.tunnel.data_came(data)
        if is_ended and not self.is_over:
            self.is_request_ended = True
            self.tunnel.eof_came()
            if self.is_sent:
                self._end()

    def _say_continue(self) -> None:
        if not self.exchange.status and not self.exchange.is_request_complete and not self.is_over:
            self._inform(100, Fields(b""))

    # ---- the response ----

    def is_lost(self) -> bool:
        """Whether nobody is left to answer."""
        return self._is_client_gone

    def on_response_ended(self, exchange: Exchange) -> None:
        """A response is complete, or lost."""
        service = self.service
        if exchange.is_lost:
            let_go(self, exchange)
            self.reset(INTERNAL_ERROR)
            self.gate.open()
        else:
            self.owner.answered()
        if service.is_observed:
            if service.report is not None:
                service.report(exchange)
            service.dispatcher.on_response_ended(exchange)
        if exchange.job is not None and not exchange.is_lost and not service.has_hooks:
            exchange.job = None  # they hold each other
        if self.is_over:
            self._let_go()

    def abort(self) -> None:
        """Break off, whatever is on its way."""
        exchange = self.exchange
        self.reset(INTERNAL_ERROR)
        if exchange is not None:
            exchange.lose()

    def _sent(self) -> None:
        """The response is with the engine: the stream is over when its request is complete as well."""
        self.is_sent = True
        body = self.body
        if self.tunnel is not None:
            self.tunnel.ended()
            if self.exchange.status != _SWITCHING:  # the socket was refused
                self.tunnel.lost()
                self.reset(NO_ERROR)
            elif self.is_request_ended:
                self._end()
        elif self.is_request_ended:
            self._end()
        elif body is not None and body.may_skip():
            body.skip()
        else:
            self.reset(NO_ERROR)  # RFC 9113 section 8.1: the rest of the request is not needed

    # ---- the end ----

    def reset(self, code: int) -> None:
        """Reset the stream, if it is not over."""
        if not self.is_over:
            if code == NO_ERROR:
                self.owner.unwanted.append(self.id)
            else:
                self.owner.engine.reset(self.id, code)
            self.owner.wants_flush()
            self._end()

    def cancel(self) -> None:
        """Reset the stream of a client that does not take its response."""
        self.reset(CANCEL)
        self.client_left()

    def client_left(self, error: Exception | None = None, is_stopping: bool = False) -> None:
        """The client has reset the stream, or left; or nobody can wait for it any longer."""
        exchange = self.exchange
        self._is_client_gone = not is_stopping
        self.fail_body(error or ChannelClosed("the client has left"))
        self._end()
        if exchange is not None and not exchange.is_closed:
            exchange.lose(is_stopping)
        tunnel, self.tunnel = self.tunnel, None
        if tunnel is not None:
            tunnel.lost()
        self.gate.open()

    def _end(self) -> None:
        if self.is_over:
            return
        self.is_over = True
        if self._credit is not None:
            self._credit.reasons = 0
            self._credit.settle()  # the connection's window is still owed
            self._credit = None  # what holds it still holds up nothing
        if self._is_wide:
            self.owner.wide_streams -= 1
        self._drop_queue()
        if self.body is not None:
            self.fail_body(ChannelClosed("the stream is closed"))
        self.owner.over(self)
        if self.exchange is not None and self.exchange.is_closed:
            self._let_go()

    def _let_go(self) -> None:
        """Let go of an exchange that is over: they hold each other, which only the garbage collector would find."""
        if self.tunnel is None:
            self.exchange = None  # type: ignore[assignment]  # nobody asks for it any more
