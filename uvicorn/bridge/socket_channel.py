"""The reply channel of a socket: like that of a request, but open for as long as the socket is.

Theory of operation
-------------------
A `SocketChannel` may be kept and used from anywhere: another task, another thread, another socket's consumer. What
it sends goes the ways of `channels.py`: on the loop checked and written at once, in a thread checked under the
channel's lock, in the order of the outbox, through a `Window` that blocks while the client is behind.

*Before acceptance* the socket holds its channel by a weak reference only: when the consumer lets go of it without an
answer, `__del__` tells the socket, which refuses the handshake. From acceptance on the socket holds it; if the consumer
accepted from a thread and let go before the loop has seen that, the socket makes another one of the same name.

*Answered with `status`*, the handshake is a request like any other: from then on an ordinary `ReplyChannel` of its
exchange takes what is sent.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from threading import get_ident
from typing import Any, Final, Protocol

from uvicorn.bridge.channels import ReplyChannel
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pressure import Drained, Window, closed_error
from uvicorn.bridge.sink import ReplySink, Sink
from uvicorn.errors import ChannelFull
from uvicorn.wire.shared import SharedMessage
from uvicorn.wire.socket_reply import BINARY, CONNECTING, DONE, OPEN, TEXT, SocketSequence

__all__ = ["SocketChannel", "SocketSink"]


class _Done:
    """What is done already. To await it takes no frame of Python."""

    __slots__ = ()
    __await__ = staticmethod(partial(iter, ()))


_DRAINED: Final = _Done()


class SocketSink(Sink, Protocol):
    """What a channel needs of a socket, beyond what it needs of an exchange."""

    @property
    def handshake(self) -> ReplySink | None:
        """The exchange of the request that asked for the socket; None once it is accepted."""

    def message(self, opcode: int, data: bytes) -> bool | None:
        """Send one message, if the socket is open and the client has caught up. Runs on: the loop.

        Returns: whether the client has caught up with this message, too; None if nothing was done.
        """

    def shared(self, message: SharedMessage) -> bool | None:
        """Send a message that goes to many sockets; as `message`. Runs on: the loop."""

    def keep(self, call: Coroutine[Any, Any, None], name: str) -> None:
        """Run a coroutine beside the calls of the socket. Runs on: the loop."""

    def settle_with(self, settle: Callable[[Callable[[], None]], None]) -> None:
        """Have `settle` called before the client's close frame is answered. Runs on: the loop."""

    def tell_gap(self, missed: int | None) -> None:
        """Call the consumer that is routed to `websocket.gap`, if there is one. Runs on: the loop."""


class SocketChannel(SocketSequence):
    """The channel to one socket (ASGI draft, "Send/Close/Accept").

    Safe to use from any thread or task.

    Args:
        name: None for a new one.
    """

    __slots__ = ("__weakref__", "_is_shared", "_lock", "_name", "_outbox", "_refusal", "_socket", "_window")

    def __init__(self, socket: SocketSink, outbox: Outbox, subprotocols: list[str], name: str | None = None) -> None:
        super().__init__(subprotocols, CONNECTING if name is None else OPEN)
        self._name = name or outbox.directory.new_name("websocket.send")
        self._socket = socket
        self._outbox = outbox
        self._is_shared = False  # a thread has sent through it
        self._lock = threading.Lock()  # held for a check and a put, never while somebody waits
        self._window: Window | None = None
        self._refusal: ReplyChannel | None = None

    def __repr__(self) -> str:
        return f"<SocketChannel {self._name}{' closed' if self.closed else ''}>"

    def __del__(self) -> None:
        if self._state == CONNECTING:
            self._outbox.put(self._socket.on_dropped)

    @property
    def name(self) -> str:
        """A name that no other reply channel has, in any process. To read it keeps the channel (`directory.py`)."""
        if not self.closed:
            self._outbox.directory.keep(self._name, self)
        return self._name

    @property
    def own_name(self) -> str:
        """Its name, for the socket itself: nobody else learns it."""
        return self._name

    @property
    def is_writable(self) -> bool:
        """Whether the client has caught up. Runs on: the loop."""
        return self._socket.is_writable()

    @property
    def closed(self) -> bool:
        """Whether the socket is closed, or its client has left. Runs on: any thread."""
        if self._refusal is not None:
            return self._refusal.closed
        return self._socket.is_closed or self._state == DONE

    def send(self, reply: Mapping[str, Any]) -> Awaitable[None]:
        """Accept the socket, send one message, close it, or several of these in this order.

        Args:
            reply: `accept` (bool), with it `subprotocol` (str) and `headers` (pairs); `text` (str) or `bytes`
                (bytes-like); `close` (True, or a close code), with it `reason` (str). Before acceptance also a whole
                HTTP reply with `status`, which refuses the handshake.

        Returns: an awaitable that is done when the client has caught up; in a thread it is done already.
        Raises: ReplyError for a reply that is not allowed; ChannelClosed when the socket is closed; ServerStopping;
            ChannelFull on the loop, when the client is far behind a consumer that does not await.
        Runs on: any thread.
        Blocks: in a thread, while the client is more than four times `write_buffer` bytes behind; until it catches up,
            leaves, is cut by `write_timeout`, or the worker stops.
        Cancellation: cancelling the wait on the loop does not take back what was sent.
        Spec: ASGI draft (django/channels cd34f65), "Send/Close/Accept".
        """
        # By far the most frequent reply. Without the lock: it changes no state, and what a thread sends at this very
        # moment may come before it or after it.
        if (
            self._state == OPEN
            and type(reply) is dict
            and len(reply) == 1
            and not self._is_shared
            and get_ident() == self._outbox.loop_thread
        ):
            text, data, opcode = reply.get("text"), reply.get("bytes"), BINARY
            if type(text) is str:
                try:
                    data, opcode = text.encode(), TEXT
                except UnicodeEncodeError:
                    data = None  # the check below raises
            if type(data) is bytes:
                is_writable = self._socket.message(opcode, data)
                if is_writable is not None:
                    return _DRAINED if is_writable else Drained(self._socket)
        if self._refusal is not None or (self._state == CONNECTING and self._is_response(reply)):
            return self._refuse(reply)
        if get_ident() != self._outbox.loop_thread:
            self._send_from_thread(reply)
            return _DRAINED
        socket = self._socket
        with self._lock:
            if self._is_shared:
                self._outbox.drain_now()
            if socket.is_closed:
                raise closed_error(socket)
            if socket.is_flooded():
                raise ChannelFull("the client is far behind: await what send() returns")
            socket.reply(self.admit(reply))
        return _DRAINED if socket.is_writable() else Drained(socket)

    def when_changed(self, callback: Callable[[], None]) -> None:
        """Call back once, when the client has caught up, or the socket is opened, refused or closed; look at `closed`.

        Runs on: the loop.
        """
        self._socket.when_writable(callback)

    def keep(self, call: Coroutine[Any, Any, None], name: str) -> None:
        """Run a coroutine as a task that may last as long as the socket, and longer.

        It has a fresh context. What it raises is the consumer's failure. A worker that stops waits for it, and cancels
        it at last. Runs on: the loop.
        """
        self._socket.keep(call, name)

    def settle_with(self, settle: Callable[[Callable[[], None]], None]) -> None:
        """Answer the client's close frame only when `settle` has called back what it is given.

        It is called when the calls for all messages have returned. For a consumer that replies later to what its calls
        have taken; it need not call back, as the wait has an end (`websocket_close_timeout`). Runs on: the loop.
        """
        self._socket.settle_with(settle)

    def send_shared(self, message: SharedMessage) -> bool:
        """Send a message that goes to many sockets, if that can be now. Runs on: the loop.

        Returns: False if nothing was done: the socket is not open, its client has not caught up, or threads have sent
            what must go out before; `send` knows.
        """
        return self._state == OPEN and not self._is_shared and self._socket.shared(message) is not None

    def give_up(self, reason: str) -> None:
        """Close with 1013: the client is too slow for what is sent to it. Runs on: the loop."""
        self._socket.refuse(503, reason)

    def tell_gap(self, missed: int | None) -> None:
        """Call the consumer that is routed to `websocket.gap`, if there is one. Runs on: the loop.

        Args:
            missed: how many messages; None for an unknown number.
        """
        self._socket.tell_gap(missed)

    def _send_from_thread(self, reply: Mapping[str, Any]) -> None:
        socket = self._socket
        with self._lock:
            if socket.is_closed:
                raise closed_error(socket)
            self._is_shared = True
            admitted = self.admit(reply)
            window = self._window = self._window or Window(socket)
            window.take(len(admitted[2]))
            self._outbox.put(window.deliver, admitted)
            is_last = self._state == DONE
        if not is_last:
            window.wait()

    def _is_response(self, reply: Any) -> bool:
        return isinstance(reply, Mapping) and "status" in reply

    def _refuse(self, reply: Mapping[str, Any]) -> Awaitable[None]:
        """Answer the handshake as what it is, a request."""
        with self._lock:
            if self._refusal is None:
                handshake = self._socket.handshake
                if self._state != CONNECTING or handshake is None:
                    raise closed_error(self._socket)
                self._refusal = ReplyChannel(handshake, self._outbox, threading.Lock())
                self._state = DONE
        return self._refusal.send(reply)
