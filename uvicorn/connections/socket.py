"""One socket, and the only owner of its state. Loop thread only.

What comes in goes through `socket_inbound.py`. What a consumer sends comes from its channel to `socket_outbound.py`,
which has the states of a socket, too. Here is what becomes of the socket as a whole: its handshake and its calls; its
end is in `client_socket.py`.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

from uvicorn.bridge.consumer import Consumer, advice_on
from uvicorn.bridge.jobs import CallJob, SocketJob
from uvicorn.bridge.socket_channel import SocketChannel
from uvicorn.connections.client_socket import FAILED, ClientSocket
from uvicorn.connections.socket_inbound import SocketInbound
from uvicorn.connections.socket_outbound import CLOSED, CONNECTING, OPEN
from uvicorn.connections.socket_watch import HOW_TO_ACCEPT, SocketWatch
from uvicorn.connections.upgrade import Upgradable, Upgraded
from uvicorn.errors import ChannelClosed, DenyConnection, is_all_full
from uvicorn.messages import Message
from uvicorn.wire.frames import SocketCodec

__all__ = ["WebSocket"]


class WebSocket(ClientSocket, Upgraded, asyncio.Protocol):
    """One socket of a client.

    Args:
        connection: where the handshake came in.
        request: the `http.request` that asks for it.

    Attributes:
        channel: the reply channel, held from acceptance on.
    """

    __slots__ = (
        "_channel_ref", "_connection", "channel", "client_name", "intake", "job", "place", "service", "started_at",
    )  # fmt: skip

    def __init__(self, connection: Upgradable, codec: SocketCodec, request: Message) -> None:
        service = self.service = connection.service
        self._connection: Upgradable | None = connection
        self.place = connection.place
        self.client_name = connection.client_name  # for the log
        super().__init__(connection.transport, codec, service.limits.write_buffer)
        self.intake = connection.intake
        self.inbound = SocketInbound(self, codec, request, self.intake)
        self.watch = SocketWatch(self)
        self.channel: SocketChannel | None = None
        self._channel_ref: weakref.ref[SocketChannel] | None = None
        self._channel_name = ""
        # What a channel and a call read.
        self.is_stopping = False
        self.method = "websocket.connect"  # the channel of the last call, for logs
        self.started_at = service.loop.time()
        self.consumer = None
        self.job: CallJob | None = None
        self.attended = None  # that of the request that asked for it

    # ---- called by the loop ----

    def data_received(self, data: bytes) -> None:
        """Take in what the client sent."""
        self.watch.is_heard = True
        self.service.numbers.received_bytes += len(data)
        if not self.inbound.take_whole(data):
            self.intake.receive(data)

    def eof_received(self) -> bool:
        """The client sends nothing more: it has left, or waits for the answer to its close frame."""
        if self._codec.owes_close:
            return self.transport.can_write_eof()
        if self._state in (CONNECTING, OPEN) and self.transport.get_write_buffer_size():
            self.transport.abort()  # or nobody would notice while the client takes nothing
        return False

    def pause_writing(self) -> None:
        """The client is behind."""
        self.gate.close()
        if self._connection is not None:
            self._connection.pause_writing()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.gate.open()
        self.inbound.on_caught_up()
        if self._connection is not None:
            self._connection.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: what waits is called, and `websocket.disconnect` last."""
        service = self.service
        connection, self._connection = self._connection, None
        self._state = CLOSED
        # A consumer that has refused the socket hears nothing of its end.
        is_owed = self.handshake is None or self._held is not None or not self.is_closed
        self._shut()
        self.inbound.end()
        self.intake.drop()
        service.sockets.discard(self)
        if self.handshake is not None:
            assert connection is not None
            self.handshake.consumer = None  # who is routed to http.disconnect shall not hear of it
            connection.connection_lost(exc)
            self.handshake.consumer = self.consumer  # it may raise yet, and the log names it
            is_owed = service.call_runner.cancel_connect(self) and is_owed
        elif self.place is not None:
            service.on_connection_lost(self.place)
        if service.attendants is not None and (self.handshake is None or self.handshake.is_accepted):
            service.attendants.end_socket(self)
        if not self.inbound.is_left:
            self.inbound.calls.cancel(service.limits.disconnect_grace)
            if is_owed:
                self.inbound.disconnect()
        self.inbound.leave()
        self.channel = None  # they hold each other; the messages that wait have it too

    # ---- calls ----

    def connect(self, consumer: Consumer, message: Message) -> None:
        """Call the consumer of `websocket.connect`."""
        handshake = self.handshake
        assert handshake is not None
        self.consumer = handshake.consumer = consumer
        self.attended = handshake.attended
        channel = SocketChannel(self, self.service.outbox, message["subprotocols"])
        self._channel_name = channel.own_name
        self._channel_ref = weakref.ref(channel)
        message["reply_channel"] = channel
        self.inbound.connect(consumer, message)

    def on_called(self, consumer: Consumer, channel: str) -> None:
        """A consumer is called: logs name it."""
        self.consumer = consumer
        self.method = channel
        self.started_at = self.service.now

    def on_returned(self, _: object = None) -> None:
        """A call has ended: the next one begins, of this socket or of another."""
        self.service.call_runner.on_returned(self)
        self.job = None
        self.inbound.on_returned()

    def on_value(self, result: object) -> None:
        """A consumer has returned something: if it was meant for the client, that is said."""
        advice = advice_on(result, is_socket=True)
        if advice and not self.is_closed:
            self.service.log_of(self).error("%s %s: %s", self.consumer_name, advice, self.shown_line)

    def on_not_called(self) -> None:
        """The task of its call was cancelled before it began."""
        self.inbound.calls.on_not_called()

    def keep(self, call: Coroutine[Any, Any, None], name: str) -> None:
        """Run a coroutine beside the calls; what it raises comes to `on_failed`."""
        self.service.call_runner.keep(call, name, self)

    def settle_with(self, settle: Callable[[Callable[[], None]], None]) -> None:
        """Have `settle` called before the client's close frame is answered; it calls back."""
        self.inbound.settle_with(settle)

    def tell_gap(self, missed: int | None) -> None:
        """Messages for this socket were dropped: the consumer that is routed to `websocket.gap` is called."""
        if self._state == OPEN:
            self.inbound.gap(missed)

    def on_failed(self, error: BaseException) -> None:
        """The consumer has raised: that is logged once, and answered with 500, or the socket is closed with 1011.

        ChannelFull is no failure, but for a client that is far behind: 503, or 1013.
        """
        handshake = self.handshake
        if handshake is not None and not handshake.is_accepted:
            if isinstance(error, DenyConnection):
                handshake.answer(403)
            else:
                handshake.on_failed(error)
            return
        if is_all_full(error) and not self.is_closed and not self.is_flooded():
            self.service.dispatcher.on_refused(str(error))
            self.close_slow(str(error))
        elif isinstance(error, ChannelClosed) and self.is_closed:
            self.service.log_of(self).debug("%s ended: %s: %s", self.consumer_name, self.shown_line, error)
        elif not (isinstance(error, (asyncio.CancelledError, GeneratorExit)) and self.is_closed):
            if self.consumer is not None:
                self.consumer.tally.errors += 1
            self.service.log_failure(self, error)
            if not getattr(error, "leaves_socket_open", False):  # the consumers of Channels 1 expect that
                self.close(FAILED, "")

    def refuse(self, status: int, reason: str, retry_after: int = 0, setting: str = "other") -> None:
        """Answer 503, or close with 1013: no thread became free for a call in time."""
        handshake = self.handshake
        if handshake is not None and not handshake.is_accepted:
            handshake.refuse(status, reason, retry_after, setting)
        else:
            self.service.numbers.refuse(setting)
            self.close_slow(reason)

    # ---- what the channel asks for ----

    def on_dropped(self, _: object = None) -> None:
        """Nobody can accept any more, before anybody has: the handshake is refused."""
        if self.handshake is not None and not self.handshake.is_accepted:
            if not self.handshake.is_closed:
                self.service.log_of(self).info(
                    "%s has not accepted the socket, so it is refused with 403: %s. %s",
                    self.consumer_name,
                    self.shown_line,
                    HOW_TO_ACCEPT,
                )
            self.handshake.answer(403)

    def set_waiting(self, is_waiting: bool) -> None:
        """Mark the thread as waiting for the client. Runs on: that thread."""
        job = self.job  # read once: the loop may let go of it meanwhile
        if isinstance(job, SocketJob):
            job.set_waiting(is_waiting)

    def channel_of_disconnect(self) -> SocketChannel:
        """Return the channel for `websocket.disconnect`: the one that the consumer knows, if it is there."""
        return self.channel or self._known_channel()

    # ---- the handshake ----

    def on_opened(self) -> None:
        """101 is written: the connection is ours."""
        connection = self._connection
        assert connection is not None
        self._connection = self.handshake = None
        self.service.connections.discard(connection)
        self.channel = self._known_channel()
        self._open(connection.pipeline.gate.is_open)
        self.inbound.begin()

    def _known_channel(self) -> SocketChannel:
        """Return the channel of `websocket.connect`; if its consumer has let go of it, one in place of it."""
        known = self._channel_ref() if self._channel_ref is not None else None
        return known or SocketChannel(self, self.service.outbox, self._codec.subprotocols, self._channel_name)
