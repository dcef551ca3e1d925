"""One socket, and the only owner of its state. Loop thread only.

Life of a socket:

    CONNECTING   the handshake waits for the consumer's answer (handshake.py)
    OPEN         messages go both ways; after the client's close frame until what it sent before is replied to
    CLOSING      a close frame was sent: the client's is awaited, `websocket_close_timeout` long
    CLOSED       the connection is gone; calls that wait still run, `websocket.disconnect` last

What comes in goes through `socket_inbound.py`. What a consumer sends comes from its channel to `reply`, is encoded
and written; above `write_buffer` bytes that wait for the client senders wait too (`channels.py`).
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from uvicorn.bridge.channels import ReplySink
from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.jobs import CallJob, SocketJob
from uvicorn.bridge.socket_channel import SocketChannel
from uvicorn.connections.crowding import SOCKET, Standing
from uvicorn.connections.flow import WriteGate
from uvicorn.connections.intake import Intake
from uvicorn.connections.pipeline import Pipeline
from uvicorn.connections.service import Service
from uvicorn.connections.socket_inbound import SocketInbound
from uvicorn.connections.socket_watch import SocketWatch
from uvicorn.errors import ChannelClosed
from uvicorn.messages import Message
from uvicorn.wire.frames import SocketCodec
from uvicorn.wire.reply import Fields
from uvicorn.wire.socket_reply import NOTHING, Action, SocketReply

__all__ = ["Handshake", "Upgradable", "WebSocket"]

# States.
CONNECTING: Final = 0
OPEN: Final = 1
CLOSING: Final = 2
CLOSED: Final = 3

_FLOOD_FACTOR: Final = 256  # x write_buffer, as for an exchange
_FAILED: Final = 1011
_RESTART: Final = 1012
_OVERLOADED: Final = 1013


class Upgradable(Protocol):
    """What a handshake needs of its connection."""

    service: Service
    transport: asyncio.Transport
    pipeline: Pipeline
    intake: Intake
    place: str

    @property
    def client_name(self) -> str:
        """The client's address, for the log."""

    def pause_writing(self) -> None:
        """The client is behind."""

    def resume_writing(self) -> None:
        """The client has caught up."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: nobody is left to answer."""


class Handshake(ReplySink, Protocol):
    """What a socket needs of the exchange of its handshake."""

    consumer: Consumer | None
    is_accepted: bool

    def accept(self, fields: Fields) -> None:
        """Open the socket: now, or when it is its turn."""

    def answer(self, status: int, detail: str = "", retry_after: int = 0, persists: bool = False) -> None:
        """Make a response of the server's own, which refuses the socket."""

    def refuse(self, status: int, reason: str, retry_after: int = 0) -> None:
        """Answer instead of the consumer, and close the connection."""

    def failed(self, error: BaseException) -> None:
        """The consumer has raised: it is answered for."""


class WebSocket(asyncio.Protocol):
    """One socket of a client.

    Args:
        connection: where the handshake came in.
        request: the `http.request` that asks for it.

    Attributes:
        handshake: the exchange of the request that asked for the socket; None once it is accepted.
        channel: the reply channel, held from acceptance on.
        is_closed: takes nothing more to send. Read by any thread, as are the next two.
        is_lost, is_stopping: as for an exchange.
        written_bytes: frames, without the answer to the handshake.
        sent_messages: how many were written for threads; a sign of life of theirs (`bridge/stuck.py`).
    """

    __slots__ = (
        "_channel_name", "_channel_ref", "_codec", "_connection", "_held", "_held_bytes", "_state", "channel",
        "client_name", "consumer", "gate", "handshake", "inbound", "intake", "is_answered", "is_closed", "is_head",
        "is_lost", "is_stopping", "job", "method", "place", "sent_messages", "service", "started_at", "task",
        "transport", "watch", "write_buffer", "written_bytes",
    )  # fmt: skip

    def __init__(self, connection: Upgradable, codec: SocketCodec, request: Message) -> None:
        service = self.service = connection.service
        self._connection: Upgradable | None = connection
        self.place = connection.place
        self.client_name = connection.client_name  # for the log
        self.transport = connection.transport
        self._codec = codec
        self._state = CONNECTING
        self.handshake: Handshake | None = None
        self.gate = WriteGate()
        self.intake = connection.intake
        self.inbound = SocketInbound(self, codec, request, self.intake)
        self.watch = SocketWatch(self)
        self.written_bytes = 0
        self.sent_messages = 0
        self._held: list[SocketReply] | None = None  # sent before 101 could be written
        self._held_bytes = 0
        self.channel: SocketChannel | None = None
        self._channel_ref: Callable[[], SocketChannel | None] = _nothing
        self._channel_name = ""
        # What a channel and a call read.
        self.write_buffer = service.limits.write_buffer
        self.is_closed = self.is_lost = self.is_stopping = self.is_answered = self.is_head = False
        self.method = "websocket.connect"  # the channel of the last call, for logs
        self.started_at = service.loop.time()
        self.consumer: Consumer | None = None
        self.job: CallJob | None = None
        self.task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<WebSocket {self.shown_target} {self.state_name}>"

    @property
    def state_name(self) -> str:
        """What it is doing, in a word. Runs on: any thread."""
        return ("connecting", "open", "closing", "closed")[self._state]

    @property
    def consumer_name(self) -> str:
        """How logs call the consumer."""
        return self.consumer.name if self.consumer is not None else "no consumer"

    @property
    def shown_target(self) -> str:
        """The path, safe to log."""
        return self.inbound.path.encode("ascii", "backslashreplace").decode()

    @property
    def shown_line(self) -> str:
        """The channel of the last call and the path, safe to log."""
        return f"{self.method} {self.shown_target}"

    @property
    def wants_call(self) -> bool:
        """Whether the consumer is still to be called."""
        return True  # what was received before the client left, too

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
        self.inbound.has_caught_up()
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
            is_owed = service.calls.cancel_connect(self) and is_owed
        else:
            service.on_connection_lost(self.place)
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
        channel = SocketChannel(self, self.service.outbox, message["subprotocols"])
        self._channel_name = channel.name
        self._channel_ref = weakref.ref(channel)
        message["reply_channel"] = channel
        self.inbound.connect(consumer, message)

    def called(self, consumer: Consumer, channel: str) -> None:
        """A consumer is called: logs name it."""
        self.consumer = consumer
        self.method = channel
        self.started_at = self.service.now

    def returned(self, _: object = None) -> None:
        """A call has ended: the next one begins, of this socket or of another."""
        self.service.calls.returned(self)
        self.job = None
        self.inbound.returned()

    def keep(self, call: Coroutine[Any, Any, None], name: str) -> None:
        """Run a coroutine beside the calls; what it raises comes to `failed`."""
        self.service.calls.keep(call, name, self)

    def settle_with(self, settle: Callable[[Callable[[], None]], None]) -> None:
        """Have `settle` called before the client's close frame is answered; it calls back."""
        self.inbound.settle_with(settle)

    def failed(self, error: BaseException) -> None:
        """The consumer has raised: that is logged once, and answered with 500, or the socket is closed with 1011."""
        handshake = self.handshake
        if handshake is not None and not handshake.is_accepted:
            handshake.failed(error)
            return
        log = self.service.log
        if isinstance(error, ChannelClosed) and self.is_closed:
            log.debug("%s ended: %s: %s", self.consumer_name, self.shown_line, error)
        elif not (isinstance(error, (asyncio.CancelledError, GeneratorExit)) and self.is_closed):
            if self.consumer is not None:
                self.consumer.tally.errors += 1
            log.error(
                "Error in %s: %s",
                self.consumer_name,
                self.shown_line,
                exc_info=(type(error), error, error.__traceback__),
            )
            self.close(_FAILED, "")

    def refuse(self, status: int, reason: str, retry_after: int = 0) -> None:
        """Answer 503, or close with 1013: no thread became free for a call in time."""
        handshake = self.handshake
        if handshake is not None and not handshake.is_accepted:
            handshake.refuse(status, reason, retry_after)
        else:
            self.close_slow(reason)

    # ---- what the channel asks for ----

    def message(self, opcode: int, data: bytes) -> bool | None:
        """Send one message, TEXT or BINARY, if the socket is open and the client has caught up.

        Returns: whether the client has caught up with this message, too; None if nothing was done.
        """
        gate = self.gate
        if self._state != OPEN or self.is_closed or not gate.is_open:
            return None
        frame = self._codec.message(opcode, data)
        self.written_bytes += len(frame)
        self.service.numbers.sent_bytes += len(frame)
        self.transport.write(frame)
        return gate.is_open

    def reply(self, reply: SocketReply) -> bool | None:
        """Do what one checked reply says; do nothing if the socket is closed."""
        opcode, action, data, _ = reply
        if self._state != OPEN:
            if self._state == CONNECTING:
                self._reply_early(reply, action)
            return None
        if opcode != NOTHING:
            frame = self._codec.message(opcode, data)
            self.written_bytes += len(frame)
            self.service.numbers.sent_bytes += len(frame)
            self.sent_messages += 1
            self.transport.write(frame)
        if action is not None and action.close_code:
            self.close(action.close_code, action.reason)
        return None

    def dropped(self, _: object = None) -> None:
        """Nobody can accept any more, before anybody has: the handshake is refused."""
        if self.handshake is not None and not self.handshake.is_accepted:
            self.handshake.answer(403)

    def is_writable(self) -> bool:
        """Whether the client has caught up."""
        if self._held is not None:
            return self._held_bytes <= self.write_buffer
        return self.gate.is_open

    def is_flooded(self) -> bool:
        """Whether so much waits for the client that a message must be refused."""
        if self.gate.is_open and self._held is None:
            return False
        return self._held_bytes + self.transport.get_write_buffer_size() > self.write_buffer * _FLOOD_FACTOR

    def on_writable(self, callback: Callable[[], None]) -> None:
        """Call back once, when the client has caught up or the socket is closed."""
        self.gate.wait(callback)

    def set_waiting(self, is_waiting: bool) -> None:
        """Mark the thread as waiting for the client. Runs on: that thread."""
        job = self.job  # read once: the loop may let go of it meanwhile
        if isinstance(job, SocketJob):
            job.set_waiting(is_waiting)

    def channel_of_disconnect(self) -> SocketChannel:
        """Return the channel for `websocket.disconnect`: the one that the consumer knows, if it is there."""
        return self.channel or self._channel_ref() or self._new_channel()

    # ---- the handshake ----

    def _reply_early(self, reply: SocketReply, action: Action | None) -> None:
        handshake = self.handshake
        assert handshake is not None
        if handshake.is_closed and not handshake.is_accepted:
            return
        if action is not None and action.refuses:
            handshake.answer(403)
            return
        if self._held is None:
            self._held = []
        self._held.append(reply)
        self._held_bytes += len(reply[2])
        if not handshake.is_accepted:
            assert action is not None  # the first reply that does not refuse accepts
            block = self._codec.fields.block
            if action.subprotocol is not None:
                block += b"sec-websocket-protocol: %b\r\n" % action.subprotocol.encode("latin-1")
            handshake.accept(action.fields.after(block))

    def refused(self) -> None:
        """The handshake was refused, or lost."""
        self._shut()

    def opened(self) -> None:
        """101 is written: the connection is ours."""
        connection = self._connection
        assert connection is not None
        self._connection = self.handshake = None
        self.service.connections.discard(connection)
        self.channel = self._channel_ref() or self._new_channel()
        self._state = OPEN
        self.gate.is_open = connection.pipeline.gate.is_open
        held, self._held = self._held, None
        self._held_bytes = 0
        for reply in held or ():
            self.reply(reply)
        if self.gate.is_open:
            self.gate.open()  # tell those who waited for the handshake
        self.inbound.begin()

    def _new_channel(self) -> SocketChannel:
        """Make a channel for one that its consumer let go of, after it had accepted."""
        return SocketChannel(self, self.service.outbox, self._codec.subprotocols, self._channel_name)

    # ---- bytes, and the end ----

    def write(self, data: bytes) -> None:
        """Write what the codec has to say itself."""
        if not self.transport.is_closing():
            self.written_bytes += len(data)
            self.service.numbers.sent_bytes += len(data)
            self.transport.write(data)

    def ping(self) -> None:
        """Ask the client for a sign of life."""
        if self._state == OPEN:
            self.write(self._codec.ping())

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, and wait for the client's; or answer the client's, with its own code."""
        if self._state == CONNECTING and self._held is not None:  # accepted, but its turn has not come
            self._held.append((NOTHING, Action(close_code=code, reason=reason), b"", False))
        if self._state != OPEN:
            return
        if self._codec.owes_close:
            self.answer_close()
            return
        self._state = CLOSING
        self.write(self._codec.close(code, reason))
        self._shut()
        self.watch.closing()
        self.inbound.end()

    def close_slow(self, reason: str) -> None:
        """Close, because one side has not kept up with the other."""
        self.service.log.info("1013 to %s: %s", self.shown_target, reason)
        self.inbound.calls.clear()
        self.close(_OVERLOADED, reason)

    def close_silent(self) -> None:
        """Close, because the client has not answered a ping."""
        self.close(_FAILED, "no answer to a ping")

    def standing(self, now: float) -> Standing:
        """Return that it is a socket; before it is accepted, its connection says what it is doing."""
        return Standing(SOCKET if self.handshake is None else "")

    def make_way(self, state: str) -> None:
        """Do nothing: sockets are not closed for others."""

    def in_flight(self) -> tuple[Any, ...]:
        """Return no exchange: that of the handshake is its connection's."""
        return ()

    def cut(self) -> None:
        """Close at once, whatever is on its way."""
        self.transport.abort()

    def begin_ending(self) -> None:
        """Close, because the worker stops."""
        if self.handshake is None:
            self.is_stopping = True
            self.close(_RESTART, "service restart")

    def abort(self) -> None:
        """Close at once, because the worker stops: whoever waits for this socket is told."""
        self.is_stopping = True
        self.inbound.calls.clear()
        self.inbound.leave()
        self._shut()
        if self._state != CLOSED:
            self.transport.abort()

    def client_closes(self) -> None:
        """The client's close frame has come: it is answered behind the replies to what came just before.

        Spec: RFC 6455 section 5.5.1: an endpoint may delay its close frame while it is sending.
        """
        self.watch.closing()  # and not for longer than the client may take for its own
        self.inbound.settle()

    def answer_close(self) -> None:
        """Answer the client's close frame."""
        if self._state == OPEN and self._codec.owes_close:
            self.write(self._codec.close(0, ""))
            self.client_ended()
            self.inbound.part()

    @property
    def is_answering(self) -> bool:
        """Whether the client's close frame waits for its answer."""
        return self._codec.owes_close

    def client_ended(self) -> None:
        """The client has sent its close frame, or made a mistake: the connection is closed."""
        self._state = CLOSING
        self._shut()
        self.inbound.end()
        self.watch.closing()
        # A client that made a mistake may still be sending; closed with unread bytes it would be reset, and not see
        # the close frame.
        if self._codec.received_code or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self.transport.write_eof()

    def _shut(self) -> None:
        """Take nothing more to send, and wake those who wait."""
        if not self.is_closed:
            self.is_closed = self.is_lost = True
            self.gate.open()


def _nothing() -> None:
    """Refer to no channel."""
