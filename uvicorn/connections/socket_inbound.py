"""What comes in from the client of a socket: bytes to messages, messages to calls, and when to stop reading.

    data_received -> Intake -> take -> codec.feed -> SocketCalls.put -> the consumer
    returned                                        the next one; read on if there is room again

`take` gives the codec one frame at a time, or a piece of a long one: so the budget of a turn (`turns.py`) counts
frames, and what the codec makes of them can pass the marks by one message only. What the consumer has not taken waits
in `SocketCalls`. Above the marks the server reads no more from the client, and what was read already waits as bytes in
the `Intake`. Loop thread only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from sys import getsizeof
from typing import Any, Final, Protocol

from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.served import ServedSocket
from uvicorn.bridge.socket_calls import SocketCalls
from uvicorn.bridge.socket_channel import SocketChannel
from uvicorn.connections.flow import WriteGate
from uvicorn.connections.intake import BACKLOG, PONGS, Intake
from uvicorn.connections.service import Service
from uvicorn.messages import Message, websocket_disconnect, websocket_gap, websocket_receive
from uvicorn.wire.frames import SocketCodec
from uvicorn.wire.framing import FrameCutter

__all__ = ["SocketInbound"]

_JUST_BEFORE: Final = 2.0  # seconds, exact to one; arbitrary: how old a message may be whose reply is waited for
_PIECE: Final = 65536  # bytes of one frame that are given to the codec at a time
_NO_KEYS: Final[Mapping[str, Any]] = {}
_SHORT_HEAD: Final = 6  # bytes: two, and the mask
_SHORTEST_EXTENDED: Final = 132  # bytes: with more the length has bytes of its own


class Owner(ServedSocket, Protocol):
    """What the receiving side needs of its socket."""

    service: Service
    transport: asyncio.Transport
    gate: WriteGate
    channel: SocketChannel | None
    consumer: Consumer | None
    method: str

    @property
    def shown_target(self) -> str:
        """The path, safe to log."""

    def write(self, data: bytes) -> None:
        """Write what the codec has to say itself."""

    def on_called(self, consumer: Consumer, channel: str) -> None:
        """A consumer is called: logs name it."""

    def channel_of_disconnect(self) -> SocketChannel:
        """Return the channel for `websocket.disconnect`."""

    def on_client_ended(self) -> None:
        """The client has made a mistake: the connection is closed."""

    def on_close_frame(self) -> None:
        """The client's close frame has come: it is answered when what came before it is."""

    def answer_close(self) -> None:
        """Answer the client's close frame now."""


class SocketInbound:
    """The receiving side of one socket.

    Args:
        request: the `http.request` that asked for the socket.

    Attributes:
        path: decoded, as in messages.
        is_left: nothing more is called.
    """

    __slots__ = (
        "_codec", "_cutter", "_order", "_receiver", "_request_id", "_root_path", "_session", "_settle", "_socket",
        "_template", "_turns", "calls", "intake", "is_left", "path",
    )  # fmt: skip

    def __init__(self, socket: Owner, codec: SocketCodec, request: Message, intake: Intake) -> None:
        self._socket = socket
        self._codec = codec
        self._session = request["channel_session"]
        self._request_id: str | None = request["request_id"]
        self.path: str = request["path"]
        self._root_path: str = request["root_path"]
        self.calls = SocketCalls(socket.service.call_runner, socket)
        self.intake = intake
        self._cutter = FrameCutter()
        self._turns = socket.service.turns
        self.is_left = False
        self._order = 0
        self._receiver: Consumer | None = None  # of websocket.receive, looked up once
        self._template: dict[str, Any] | None = None  # of a websocket.receive
        self._settle: Callable[[Callable[[], None]], None] | None = None

    # ---- bytes ----

    def take_whole(self, data: bytes) -> bool:
        """Take one short frame that came alone, most often the case; return False for anything else."""
        size = len(data)
        if (
            not 2 < size < _SHORTEST_EXTENDED
            or size != (data[1] & 0x7F) + _SHORT_HEAD
            or self.intake.reasons
            or self._cutter.is_inside
            or self._turns.left <= 0
            or self._socket.handshake is not None
        ):
            return False
        self._turns.spend(1)
        self._feed(data, True)
        return True

    def take(self, data: bytes, at: int) -> int:
        """Take one frame, or a piece of one; return where the next begins. Given to the `Intake`."""
        if self._socket.handshake is not None:
            return at
        end = self._cutter.cut(data, at, at + _PIECE)
        self._feed(data if end - at == len(data) else data[at:end], not at)
        return end

    def _feed(self, data: bytes, is_first: bool) -> None:
        socket = self._socket
        codec = self._codec
        if codec.is_ended:
            return
        try:
            messages = codec.feed(data)
            if socket.is_closed:
                messages = []
            if codec.has_output:
                self._write_output()
            if messages:  # last: a consumer may be called at once, and send, or close
                self._receive(messages, is_first)
            if codec.is_ended:
                if codec.owes_close:
                    socket.on_close_frame()
                else:
                    self.part()
        except Exception:  # a mistake of ours: it costs this socket only
            socket.service.log.error("Error in a socket of %s", socket.shown_target, exc_info=True)
            socket.transport.abort()

    def wait(self) -> None:
        """Take what comes from here on; nothing until the socket is accepted."""
        self.intake.hand_over(self.take)

    def begin(self) -> None:
        """Work off what came before the socket was accepted, and read on."""
        self.intake.go_on()

    def on_caught_up(self) -> None:
        """The client has taken what was written: reading goes on, if it was stopped for the pings."""
        self.intake.release(PONGS)

    def end(self) -> None:
        """Take in no more messages; read on, for the client's close frame."""
        self.intake.release(BACKLOG | PONGS)

    def _write_output(self) -> None:
        """Write what the codec has to say itself, and act on the end of what it reads."""
        socket = self._socket
        socket.write(self._codec.output())
        if not socket.gate.is_open and not self.intake.reasons & PONGS:
            self.intake.hold(PONGS)
        if self._codec.is_ended and not self._codec.owes_close:
            socket.on_client_ended()

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
            self.on_settled()

    def on_settled(self) -> None:
        """The calls have returned: the close frame is answered when the consumer is ready, too."""
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
        order = self._order + 1
        code, reason = self._codec.ending
        consumer = self._find("websocket.disconnect", {"order": order, "code": code, "reason": reason})
        if consumer is not None and not self.is_left:
            socket.on_called(consumer, "websocket.disconnect")
            channel = socket.channel_of_disconnect()
            message = websocket_disconnect(channel, self.path, order, self._session, code, reason, self._request_id)
            self.calls.put(consumer, message, 0)
        self.leave()

    def gap(self, missed: int | None) -> None:
        """Call the consumer of `websocket.gap`, in order, if there is one."""
        consumer = self._find("websocket.gap")
        if consumer is not None and not self.is_left:
            self._order += 1
            channel = self._socket.channel
            message = websocket_gap(channel, self.path, self._order, self._session, missed, self._request_id)
            self.calls.put(consumer, message, 0)

    def leave(self) -> None:
        """Call nothing more than what waits."""
        self.is_left = True
        self._template = self._settle = None  # they have the channel, and that has the socket
        self.calls.end()

    def on_returned(self) -> None:
        """A call has ended: the next one begins, and reading goes on if there is room again."""
        has_more = self.calls.next()
        if self.intake.reasons & BACKLOG:
            limits = self._socket.service.limits.sockets
            half = (limits.queue_size + 1) // 2, (limits.queue_bytes + 1) // 2
            if not has_more or not self.calls.is_full(*half):
                self.intake.release(BACKLOG)

    def _receive(self, messages: list[str | bytes], is_now: bool) -> None:
        """Call the consumer of `websocket.receive`, in order; for the first message at once, if `is_now`."""
        socket = self._socket
        service = socket.service
        by_content = service.application.by_content
        if self._receiver is None and not by_content:
            self._receiver = self._find("websocket.receive")
            if self._receiver is None:
                service.log.debug("No route for websocket.receive of %s: messages are dropped", socket.shown_target)
                return
        consumer = self._receiver
        if consumer is not None:
            socket.consumer, socket.method, socket.started_at = consumer, "websocket.receive", service.now
        if self._template is None:
            self._template = websocket_receive(socket.channel, self.path, self._session, self._request_id)
        calls = self.calls
        for payload in messages:
            self._order += 1
            message = Message(self._template)
            message["order"] = self._order
            message["text" if type(payload) is str else "bytes"] = payload
            if by_content or consumer is None:
                consumer = self._find("websocket.receive", message)
                if consumer is None:
                    service.log.debug("No route for a message of %s: it is dropped", socket.shown_target)
                    continue
                socket.on_called(consumer, "websocket.receive")
            if not (is_now and calls.call_now(consumer, message)):
                calls.put(consumer, message, getsizeof(payload))
            is_now = False
        if calls.backlog and not socket.is_closed:
            limits = service.limits.sockets
            if calls.is_full(limits.queue_size, limits.queue_bytes) and not self.intake.reasons & BACKLOG:
                self.intake.hold(BACKLOG)

    def _find(self, channel: str, message: Mapping[str, Any] = _NO_KEYS) -> Consumer | None:
        keys = {**message, "root_path": self._root_path}
        return self._socket.service.application.find(channel, self.path, keys)


async def _settled(message: Message) -> None:
    """The calls whose return is waited for have returned: this one stood behind them in the queue."""
    message["socket"].on_settled()


_SETTLE: Final = Consumer(_settled)
