"""What comes in from the client of a socket: bytes to messages, messages to calls, and when to stop reading.

    data_received -> codec.feed -> SocketCalls.put -> the consumer
    returned                                        the next one; read on if there is room again

What the consumer has not taken waits in `SocketCalls`. Above the marks the server reads no more from the client, and
what was read already waits as bytes. Loop thread only.
"""

from __future__ import annotations

from collections.abc import Callable
from sys import getsizeof
from typing import TYPE_CHECKING, Any, Final

from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.socket_calls import SocketCalls
from uvicorn.connections.flow import ReadGate
from uvicorn.messages import Message, websocket_disconnect, websocket_receive

if TYPE_CHECKING:
    from uvicorn.connections.socket import WebSocket
    from uvicorn.wire.frames import SocketCodec

__all__ = ["SocketInbound"]

# Reasons to stop reading.
BACKLOG: Final = 1  # the consumer is behind
PONGS: Final = 2  # the client pings and does not take the pongs
EARLY: Final = 4  # the socket is not accepted yet

_SLICE: Final = 8192  # bytes given to the codec at a time: what it makes of them comes on top of the marks
_JUST_BEFORE: Final = 2.0  # seconds, exact to one; arbitrary: how old a message may be whose reply is waited for
_MOST_EARLY: Final = 65536  # bytes; arbitrary: what a client may send before it is accepted


class SocketInbound:
    """Take in what one client sends.

    Args:
        request: the `http.request` that asked for the socket.

    Attributes:
        path: decoded, as in messages.
        is_left: nothing more is called.
    """

    __slots__ = (
        "_codec", "_order", "_receiver", "_rest", "_root_path", "_session", "_settle", "_socket", "_template", "calls",
        "is_left", "path", "read_gate",
    )  # fmt: skip

    def __init__(self, socket: WebSocket, codec: SocketCodec, request: Message) -> None:
        self._socket = socket
        self._codec = codec
        self._session = request["channel_session"]
        self.path: str = request["path"]
        self._root_path: str = request["root_path"]
        self.calls = SocketCalls(socket.service.calls, socket)
        self.read_gate = ReadGate(self._pause_reading, self._resume_reading)
        self.is_left = False
        self._order = 0
        self._receiver: Consumer | None = None  # of websocket.receive, looked up once
        self._rest = b""  # received, not looked at
        self._template: dict[str, Any] | None = None  # of a websocket.receive
        self._settle: Callable[[Callable[[], None]], None] | None = None

    # ---- bytes ----

    def take(self, data: bytes) -> None:
        """Take in what was received, or keep it while reading is stopped."""
        socket = self._socket
        if self._rest or self.read_gate.reasons or socket.handshake is not None:
            self._rest += data
            if socket.handshake is not None and len(self._rest) > _MOST_EARLY:
                self.read_gate.hold(EARLY)
            return
        if len(data) > _SLICE:
            for at in range(0, len(data), _SLICE):
                self.take(data[at : at + _SLICE])
            return
        try:
            codec = self._codec
            if codec.is_ended:
                return
            messages = codec.feed(data)
            if socket.is_closed:
                messages = []
            if codec.has_output:
                self._write_output()
            if messages:  # last: a consumer may be called at once, and send, or close
                self._receive(messages)
            if codec.is_ended:
                if codec.owes_close:
                    socket.client_closes()
                else:
                    self.part()
        except Exception:  # a mistake of ours: it costs this socket only
            socket.service.log.error("Error in a socket of %s", socket.shown_target, exc_info=True)
            socket.transport.abort()

    def begin(self) -> None:
        """Work off what came before the socket was accepted."""
        if self._rest:
            self._socket.service.loop.call_soon(self._take_rest)

    def has_caught_up(self) -> None:
        """Learn that the client has taken what was written: read on, if it was stopped for its pings."""
        self.read_gate.release(PONGS)

    def end(self) -> None:
        """Take in no more messages; read on, for the client's close frame."""
        self._rest = b""
        self.read_gate.release(BACKLOG | PONGS | EARLY)

    def _take_rest(self) -> None:
        self.read_gate.release(EARLY)
        rest, self._rest = self._rest, b""
        if rest:
            self.take(rest)

    def _write_output(self) -> None:
        """Write what the codec has to say itself, and act on the end of what it reads."""
        socket = self._socket
        socket.write(self._codec.output())
        if not socket.gate.is_open and not self.read_gate.reasons & PONGS:
            self.read_gate.hold(PONGS)
        if self._codec.is_ended and not self._codec.owes_close:
            socket.client_ended()

    # ---- calls ----

    def settle(self) -> None:
        """Have the client's close frame answered: at once, or when the calls for what came just before have returned.

        A call that has gone on for longer is a stream rather than a reply, and is not waited for.
        """
        socket = self._socket
        self.end()
        is_recent = self._order > 0 and socket.service.now - socket.started_at <= _JUST_BEFORE
        if socket.service.limits.sockets.close_timeout <= 0 or not (is_recent or self.calls.backlog):
            socket.answer_close()
        elif self.calls.is_running:
            self.calls.put(_SETTLE, Message(channel="websocket.disconnect", socket=self), 0)
        else:
            self.settled()

    def settled(self) -> None:
        """Learn that the calls have returned: answer the close frame when the consumer is ready, too."""
        if self._settle is not None:
            self._settle(self._socket.answer_close)
        else:
            self._socket.answer_close()

    def settle_with(self, settle: Callable[[Callable[[], None]], None]) -> None:
        """Call `settle` before a close frame of the client is answered; it calls back."""
        self._settle = settle

    def part(self) -> None:
        """Call `websocket.disconnect`, though the connection may last: nothing more of the client is looked at."""
        self.calls.cancel(self._socket.service.limits.disconnect_grace)
        self.disconnect()

    def connect(self, consumer: Consumer, message: Message) -> None:
        """Call the consumer of `websocket.connect`."""
        self.calls.put(consumer, message, 0)

    def disconnect(self) -> None:
        """Call the consumer of `websocket.disconnect`, after what waits; then call nothing more."""
        socket = self._socket
        consumer = self._find("websocket.disconnect")
        if consumer is not None and not self.is_left:
            socket.called(consumer, "websocket.disconnect")
            message = websocket_disconnect(
                socket.channel_of_disconnect(), self.path, self._order + 1, self._session, *self._codec.ending
            )
            self.calls.put(consumer, message, 0)
        self.leave()

    def leave(self) -> None:
        """Call nothing more than what waits."""
        self.is_left = True
        self._template = self._settle = None  # they have the channel, and that has the socket
        self.calls.end()

    def returned(self) -> None:
        """Learn that a call has ended: begin the next one, and read on if there is room again."""
        has_more = self.calls.next()
        if self.read_gate.reasons & BACKLOG:
            limits = self._socket.service.limits.sockets
            half = (limits.queue_size + 1) // 2, (limits.queue_bytes + 1) // 2
            if not has_more or not self.calls.is_full(*half):
                self.read_gate.release(BACKLOG)

    def _receive(self, messages: list[str | bytes]) -> None:
        """Call the consumer of `websocket.receive`, in order."""
        socket = self._socket
        service = socket.service
        if self._receiver is None:
            self._receiver = self._find("websocket.receive")
            if self._receiver is None:
                service.log.debug("No route for websocket.receive of %s: messages are dropped", socket.shown_target)
                return
        consumer = self._receiver
        socket.consumer, socket.method, socket.started_at = consumer, "websocket.receive", service.now
        if self._template is None:
            self._template = websocket_receive(socket.channel, self.path, self._session)
        calls = self.calls
        is_now = True  # the first of them; then others are served
        for payload in messages:
            self._order += 1
            message = Message(self._template)
            message["order"] = self._order
            message["text" if type(payload) is str else "bytes"] = payload
            if not (is_now and calls.call_now(consumer, message)):
                calls.put(consumer, message, getsizeof(payload))
            is_now = False
        if calls.backlog and not socket.is_closed:
            limits = service.limits.sockets
            if calls.is_full(limits.queue_size, limits.queue_bytes) and not self.read_gate.reasons & BACKLOG:
                self.read_gate.hold(BACKLOG)

    def _find(self, channel: str) -> Consumer | None:
        return self._socket.service.application.find(channel, self.path, {"root_path": self._root_path})

    # ---- the transport ----

    def _pause_reading(self) -> None:
        if not self._socket.transport.is_closing():
            self._socket.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._socket.transport.is_closing():
            return
        self._socket.transport.resume_reading()
        if self._rest:
            self._socket.service.loop.call_soon(self._take_rest)


async def _settled(message: Message) -> None:
    """Stand in the queue behind the calls whose return is waited for."""
    message["socket"].settled()


_SETTLE: Final = Consumer(_settled)
