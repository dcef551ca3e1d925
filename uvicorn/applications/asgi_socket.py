"""The sockets of an ASGI application: one task of the application for each, fed by the consumer's calls.

Theory of operation
-------------------
    websocket.connect      starts application(scope, receive, send), in a task that the worker knows, and returns
    websocket.receive      leaves the event for `receive`; returns when the application takes it, so that the server
                           stops reading from a client whose application is behind
    websocket.disconnect   leaves the event, and returns at once

A call has returned before the application has replied. So the client's close frame is answered when the application
asks for the next event, or has returned (`settle`).

The task is kept by the socket's `CallRunner` (`SocketChannel.keep`): the worker waits for it when it stops, and cancels
it at last; what it raises is answered and logged as the failure of any consumer is. All of this runs on the loop.

*Before acceptance* no message tells that the handshake was answered by somebody else, or refused. `when_changed` of the
reply channel does; `receive` then gives `websocket.disconnect` with 1006.

Spec: ASGI 3, WebSocket version 2.5 (asgi.readthedocs.io, "HTTP & WebSocket ASGI Message Format").
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, MutableMapping
from contextlib import nullcontext
from typing import Any, Final

from uvicorn.applications.asgi import ASGIApplication
from uvicorn.applications.asgi_call import status_missing
from uvicorn.applications.asgi_scope import make_scope
from uvicorn.bridge.pressure import resolve
from uvicorn.bridge.socket_channel import SocketChannel
from uvicorn.bridge.work import Work, current_work
from uvicorn.errors import ChannelClosed, ReplyError

__all__ = ["ASGISockets"]

# States: what the application may send.
CONNECTING: Final = "before websocket.accept"
OPEN: Final = "after websocket.accept"
RESPONDING: Final = "in a response that refuses the socket"
CLOSED: Final = "after the socket was closed or refused"

_ALLOWED: Final = {
    CONNECTING: "websocket.accept, websocket.close and websocket.http.response.start",
    OPEN: "websocket.send and websocket.close",
    RESPONDING: "websocket.http.response.body",
    CLOSED: "nothing",
}
_ABNORMAL: Final = 1006
_STRIDE: Final = 65536  # bytes sent between two turns of the loop, so that others are served; arbitrary
_MESSAGE_COST: Final = 1024  # bytes that a message counts beside its own: many small ones take time, too


class ASGISockets:
    """The consumer of the messages of sockets, for an ASGI application."""

    def __init__(self, application: ASGIApplication) -> None:
        self._application = application
        self._name = f"{application.__module__}.{application.__qualname__}"
        self._open: dict[str, _Socket] = {}  # name of the reply channel -> one whose application runs

    async def __call__(self, message: Any, **_: Any) -> None:
        """Take one message; named groups of its route are not used."""
        channel: SocketChannel = message["reply_channel"]
        kind = message["channel"]
        if kind == "websocket.connect":
            socket = self._open[channel.name] = _Socket(channel)
            scope = make_socket_scope(message, self._application.state)
            channel.keep(self._serve(scope, socket, channel.name), self._name)
            return
        found = self._open.get(channel.name)
        if found is None:
            return  # the application has returned
        if kind == "websocket.receive":
            text = message["text"]
            await found.put({"type": kind, "bytes": message["bytes"]} if text is None else {"type": kind, "text": text})
        else:
            found.disconnect(message["code"], message["reason"])

    async def _serve(self, scope: dict[str, Any], socket: _Socket, name: str) -> None:
        """Run the application for one socket. Raises: what it raises; ReplyError for half a response."""
        work: Work | None = None
        if self._application.threads is not None:
            work = Work(self._application.threads)
            current_work.set(work)
        try:
            enters = self._application.enters_socket
            async with nullcontext() if enters is None else enters():
                await self._application.call(scope, socket.receive, socket.send)
            socket.finish()
        finally:
            if work is not None:
                work.end()
            self._open.pop(name, None)
            socket.end()


def make_socket_scope(message: Any, state: dict[str, Any]) -> dict[str, Any]:
    """Return the scope of one socket.

    Args:
        message: a `websocket.connect`.
    """
    scope = make_scope({**message, "method": ""}, state)
    del scope["method"]
    scope["type"] = "websocket"
    scope["subprotocols"] = list(message["subprotocols"])
    scope["extensions"] = {"websocket.http.response": {}}
    return scope


class _Socket:
    """`receive` and `send` of one socket. Runs on: the loop."""

    __slots__ = (
        "_channel", "_events", "_head", "_is_accepted", "_is_begun", "_is_ended", "_is_left", "_room",
        "_settled", "_since_turn", "_state", "_waiter",
    )  # fmt: skip

    def __init__(self, channel: SocketChannel) -> None:
        self._channel = channel
        self._state = CONNECTING
        self._events: deque[dict[str, Any]] = deque()  # one, and the disconnect; one more after a cancelled `receive`
        self._waiter: asyncio.Future[None] | None = None  # of `receive`
        self._room: asyncio.Future[None] | None = None  # of `put`
        self._head: dict[str, Any] | None = None  # status and headers of a refusal, until its first body
        self._is_accepted = False
        self._is_begun = False  # websocket.connect was given
        self._is_left = False  # websocket.disconnect is there
        self._is_ended = False  # the application has returned
        self._since_turn = 0
        self._settled: Callable[[], None] | None = None  # to be called when what was received is dealt with
        channel.when_changed(self._on_changed)
        channel.settle_with(self.settle)

    # ---- the application's side ----

    async def receive(self) -> dict[str, Any]:
        """Return the next event, waiting for it if needed.

        Returns: {"type": "websocket.connect"}; then {"type": "websocket.receive"} with "text": str, or with "bytes":
            bytes, for each message; {"type": "websocket.disconnect", "code": int, "reason": str} last.
        Raises: ChannelClosed on any later call.
        Cancellation: loses nothing.
        """
        if not self._is_begun:
            self._is_begun = True
            return {"type": "websocket.connect"}
        while not self._events:
            if self._is_left:
                raise ChannelClosed("websocket.disconnect was received")
            if self._waiter is not None:
                raise RuntimeError("another task is receiving from this socket already")
            self._settle()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        event = self._events.popleft()
        if not self._events:
            resolve(self._room)
        return event

    async def send(self, event: MutableMapping[str, Any]) -> None:
        """Take one event of the application; wait while the client is behind.

        Raises: ReplyError for one that is not allowed, on the application's own line; ChannelClosed when the client has
            left; ServerStopping.
        """
        kind = event["type"]
        state = self._state
        if kind == "websocket.send" and state is OPEN:
            text, data = event.get("text"), event.get("bytes")
            await self._channel.send({"text": text} if data is None else {"text": text, "bytes": data})
            self._since_turn += len(text or data or b"") + _MESSAGE_COST
            if self._since_turn > _STRIDE:
                self._since_turn = 0
                await asyncio.sleep(0)
        elif kind == "websocket.accept" and state is CONNECTING:
            waited = self._channel.send(
                {
                    "accept": True,
                    "subprotocol": event.get("subprotocol"),
                    "headers": event.get("headers", ()),
                }
            )
            self._state = OPEN
            self._is_accepted = True
            await waited
        elif kind == "websocket.close" and state is OPEN:
            self._channel.send({"close": event.get("code", 1000), "reason": event.get("reason")})
            self._state = CLOSED
        elif kind == "websocket.close" and state is CONNECTING:
            self._channel.send({"close": True})
            self._state = CLOSED
        elif kind == "websocket.http.response.start" and state is CONNECTING:
            if "status" not in event:
                raise status_missing(kind)
            self._head = {"status": event["status"], "headers": event.get("headers", ())}
            self._state = RESPONDING
        elif kind == "websocket.http.response.body" and state is RESPONDING:
            await self._respond(event.get("body", b""), event.get("more_body", False))
        else:
            raise ReplyError(f"an ASGI application cannot send {kind!r} {state}; allowed is: {_ALLOWED[state]}")

    async def _respond(self, content: Any, more: bool) -> None:
        waited = self._channel.send({**(self._head or {}), "content": content, "more_content": more})
        self._head = None
        if not more:
            self._state = CLOSED
        await waited

    # ---- the consumer's side ----

    async def put(self, event: dict[str, Any]) -> None:
        """Leave a message for the application; wait until it takes it, or returns."""
        if self._is_ended:
            return
        self._events.append(event)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)  # it takes it in this turn of the loop
            return
        while self._events and not self._is_ended:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def disconnect(self, code: int, reason: str = "") -> None:
        """Leave the end for the application, once."""
        if not self._is_left:
            self._is_left = True
            self._events.append({"type": "websocket.disconnect", "code": code, "reason": reason})
            resolve(self._waiter)

    def settle(self, settled: Callable[[], None]) -> None:
        """Call back when the application has dealt with what it has taken: it asks for more, or has returned."""
        self._settled = settled
        if self._is_ended or (self._waiter is not None and not self._events):
            self._settle()

    def _settle(self) -> None:
        settled, self._settled = self._settled, None
        if settled is not None:
            settled()

    def finish(self) -> None:
        """Close the socket with 1000, or refuse it with 403: the application has returned.

        Raises: ReplyError if its response is not complete.
        """
        if self._state is RESPONDING and not self._channel.closed:
            raise ReplyError("the application returned before the response that refuses the socket was complete")
        if not self._channel.closed:
            self._channel.send({"close": True})

    def end(self) -> None:
        """Take and send nothing any more."""
        self._is_ended = True
        resolve(self._room)
        self._settle()

    def _on_changed(self) -> None:
        """The handshake was answered, or lost; or the client has just caught up."""
        if self._is_accepted:
            return  # from here on `websocket.disconnect` tells the end, after all that was received
        if self._channel.closed:
            self.disconnect(_ABNORMAL)
        elif not self._is_ended:
            self._channel.when_changed(self._on_changed)
