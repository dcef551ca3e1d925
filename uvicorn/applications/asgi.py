"""An ASGI application as an asynchronous consumer.

The way of one call, all of it in the request's task on the loop:

    message -> scope
    application(scope, receive, send)
    http.response.start is kept until the first http.response.body
    each body -> reply_channel.send

It is called when the head is there; `receive` gives the body as it comes. What came in one read with the head is one
event. After the body comes `http.disconnect`: when the client has left, or the response is complete. After a client has
left, `send` raises ChannelClosed, which is an OSError, as the specification asks from version 2.4 on.

An application that returns without a complete response lets go of its reply channel, like any consumer: 500.

Spec: ASGI 3, HTTP version 2.5 (asgi.readthedocs.io, "HTTP & WebSocket ASGI Message Format").
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from uvicorn.applications.environ import below
from uvicorn.bridge.channels import ReplyChannel
from uvicorn.bridge.consumer import is_async_callable, name_of
from uvicorn.bridge.work import Work, current_work
from uvicorn.errors import ChannelClosed, ChannelFull, ConsumerError, ReadTimeout, ReplyError

__all__ = ["SPEC_VERSION", "ASGIApplication", "make_scope", "status_missing"]

SPEC_VERSION: Final = "2.5"
_VERSIONS: Final = {"version": "3.0", "spec_version": SPEC_VERSION}
#: what is served beyond the core of the specification: name -> value in the scope
_EXTENSIONS: Final[dict[str, dict[str, Any]]] = {"http.response.early_hint": {}}
_FULL: Final = {
    "status": 503,
    "headers": [(b"content-type", b"text/plain; charset=utf-8"), (b"retry-after", b"1")],
    "content": b"503 Service Unavailable\n",
}
_STRIDE: Final = 65536  # bytes of a stream between two turns of the loop, so that others are served; arbitrary
_GATHERED: Final = 16384  # bytes of small chunks that are written at once; arbitrary
_CHUNK_COST: Final = 1024  # bytes that a chunk counts beside its own: many small ones take time, too


class ASGIApplication:
    """Call an ASGI application for each message.

    Args:
        version: 3, or 2 for a callable of a scope that returns a callable of receive and send.

    Attributes:
        state: what the application has put into its lifespan state; each request gets a shallow copy.
        threads: what its framework's calls run in (`FrameworkThreads`), or None if that keeps its own.
        enters: None, or makes an asynchronous context manager in which each call is made; it may raise ChannelFull.

    Raises: ConsumerError if it cannot be called so.
    """

    begins_early: Final = True  # it may answer before the body is there, or while it comes

    def __init__(self, application: Callable[..., Any], version: int = 3) -> None:
        name = name_of(application)
        if not callable(application):
            raise ConsumerError(f"{name} is not callable; an ASGI application is called with scope, receive and send")
        count, arguments = (1, "one argument") if version == 2 else (3, "three arguments")
        try:
            inspect.signature(application, follow_wrapped=False).bind(*[None] * count)
        except TypeError:
            raise ConsumerError(
                f"{name} cannot be called with {arguments}; an ASGI {version} application takes "
                f"{'scope' if version == 2 else 'scope, receive and send'}"
            ) from None
        except ValueError:
            pass  # some builtins have no signature
        self.call: Callable[..., Awaitable[None]] = _as_single(application) if version == 2 else application
        self.application = application
        self.state: dict[str, Any] = {}
        self.threads: Any = None
        self.enters: Callable[[], Any] | None = None
        self.__module__, _, self.__qualname__ = name.rpartition(".")  # how logs call it

    async def __call__(self, message: Any, **_: Any) -> None:
        """Serve one request; named groups of its route are not used."""
        scope = make_scope(message, self.state)
        call = _Call(message)
        if self.threads is not None:
            channel = message["reply_channel"]
            work = call.work = Work(self.threads, channel)
            channel.note_work(work)
            current_work.set(work)
        try:
            if self.enters is None:
                await self.call(scope, call.receive, call.send)
                return
            try:
                context = self.enters()
            except ChannelFull:
                message["reply_channel"].send(_FULL)
                return
            async with context:
                await self.call(scope, call.receive, call.send)
        except Exception:
            if not call.refuse():
                call.end()
                raise
        except BaseException:
            call.end()
            raise
        finally:
            if call.work is not None:
                call.work.end()


def make_scope(message: Any, state: dict[str, Any]) -> dict[str, Any]:
    """Return the scope of one request.

    Args:
        message: an `http.request`.
    """
    root = message["root_path"]
    path = message["path"]
    raw_path = message["raw_path"]
    if root:
        root = root.rstrip("/")
        if not below(path, root):  # a proxy has taken it off: `path` includes it, by the specification
            path = root + path
            raw_path = root.encode("utf-8", "surrogateescape") + raw_path
        root = _text(root)
    client = message["client"]
    server = message["server"]
    return {
        "type": "http",
        "asgi": _VERSIONS.copy(),
        "http_version": message["http_version"],
        "method": message["method"],
        "scheme": message["scheme"],
        "path": path if path.isascii() else _text(path),
        "raw_path": raw_path,
        "query_string": message["query_string"],
        "root_path": root,
        "headers": [*map(tuple, message["headers"])],
        "client": tuple(client) if client is not None else None,
        "server": tuple(server) if server is not None else None,
        "state": state.copy(),
        "extensions": _EXTENSIONS.copy(),
    }


def _text(text: str) -> str:
    """Return text that can be encoded: bytes that are no UTF-8 as replacement characters; `raw_path` has them."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class _Call:
    """Be `receive` and `send` of one request. Runs on: the loop."""

    __slots__ = (
        "_body", "_body_channel", "_channel", "_fields", "_gathered", "_has_begun", "_is_flush_due", "_is_received",
        "_parts", "_since_turn", "_status", "_waiter", "work",
    )  # fmt: skip

    def __init__(self, message: Any) -> None:
        self._channel: ReplyChannel = message["reply_channel"]
        self._body: bytes = message["body"]
        self._body_channel = message["body_channel"]
        self._is_received = False
        self._has_begun = False  # something was sent
        self._status = 0  # of a response that was started, until its first content
        self._fields: Any = ()
        self._since_turn = 0
        self._parts: list[bytes] = []  # chunks that are not written yet
        self._gathered = 0  # their bytes
        self._is_flush_due = False
        self._waiter: asyncio.Future[None] | None = None
        self.work: Work | None = None

    async def receive(self) -> dict[str, Any]:
        """Return the next part of the body, or wait for the end.

        Returns: {"type": "http.request", "body": bytes, "more_body": bool}, and then
            {"type": "http.disconnect"} when the client has left or the response is complete.
        Cancellation: loses nothing.
        """
        if self._is_received:
            return await self._disconnected()
        if self._body or self._body_channel is None:
            body, self._body = self._body, b""
            self._is_received = self._body_channel is None
            return {"type": "http.request", "body": body, "more_body": not self._is_received}
        try:
            chunk = await self._body_channel.receive()
        except ReadTimeout:  # the server has answered 408 already
            chunk = {"closed": True}
        if "closed" in chunk:
            self._is_received = True
            return {"type": "http.disconnect"}
        self._is_received = not chunk["more_content"]
        return {"type": "http.request", "body": chunk["content"], "more_body": chunk["more_content"]}

    async def send(self, event: MutableMapping[str, Any]) -> None:
        """Take one event of the application.

        Raises: ReplyError for one that is not allowed, on the application's own line; ChannelClosed when the client
            has left; ServerStopping.
        """
        kind = event["type"]
        if kind == "http.response.body":
            content = event.get("body", b"")
            channel = self._channel
            if event.get("more_body", False):
                if self._status:
                    channel.send(self._begun(content, True))
                elif type(content) is bytes and channel.takes_any:
                    self._gather(content)
                else:
                    self._flush()
                    channel.send({"content": content, "more_content": True})
                self._since_turn += len(content) + _CHUNK_COST
                if self._since_turn > _STRIDE or not channel.is_writable:
                    self._since_turn = 0
                    self._flush()
                    await channel.caught_up()
                return
            if self._parts:
                content = b"".join([*self._parts, content])
                self._parts.clear()
            channel.send(self._begun(content, False) if self._status else {"content": content})
            if self.work is not None:
                self.work.is_answered = True
            if self._waiter is not None:
                _resolve(self._waiter)
        elif kind == "http.response.start":
            if self._status:
                raise ReplyError("http.response.start was sent twice")
            self._fields = event.get("headers", ())
            try:
                self._status = event["status"]
            except KeyError:
                raise status_missing(kind) from None
            if self._status >= 500 and self.work is not None and self.work.is_refused:
                self.refuse()
        elif kind == "http.response.early_hint":
            self._channel.hint([(b"link", link) for link in event["links"]])
        else:
            raise ReplyError(
                f"an ASGI application cannot send {kind!r} here; allowed are http.response.start, "
                "http.response.body and http.response.early_hint"
            )

    def refuse(self) -> bool:
        """Answer 503 instead of the application, if a thread was refused to it and nothing was sent.

        Returns: whether that is, or was, so; the application's own answer to its failure goes nowhere.
        """
        if self.work is None or not self.work.is_refused:
            return False
        if self._channel is not _NOWHERE:
            if self._has_begun:
                return False
            channel, self._channel = self._channel, _NOWHERE
            with suppress(ChannelClosed):
                channel.send(_FULL)
            self.work.is_answered = True
        return True

    def _gather(self, content: bytes) -> None:
        """Take one chunk of a stream: those of one turn of the loop are written together, at its end.

        Each write is a call of the system, which costs more than all else that is done for a small chunk.
        """
        self._parts.append(content)
        self._gathered += len(content)
        if self._gathered >= _GATHERED:
            self._flush()
        elif not self._is_flush_due:
            self._is_flush_due = True
            asyncio.get_running_loop().call_soon(self._flush_late)

    def _flush(self) -> None:
        """Write the chunks that were gathered. Raises: ChannelClosed."""
        if self._parts:
            content = b"".join(self._parts)
            self._parts.clear()
            self._gathered = 0
            self._channel.send({"content": content, "more_content": True})

    def _flush_late(self) -> None:
        self._is_flush_due = False
        self.end()

    def end(self) -> None:
        """Write what is left, though nobody can be told that the client has left."""
        try:
            self._flush()
        except ChannelClosed:
            self._parts.clear()

    def _begun(self, content: Any, more: bool) -> dict[str, Any]:
        """Return the first reply.

        A content-length that says what the server would say is left out: it then knows the response for a plain one.
        """
        status, self._status = self._status, 0
        self._has_begun = True
        fields = self._fields
        if not more and not self._channel.is_head:
            if type(fields) is not list:
                fields = [*fields]
            for number, field in enumerate(fields):
                if field[0] == b"content-length":
                    if field[1] == b"%d" % len(content):
                        fields = [*fields]
                        del fields[number]
                    break
        return {"status": status, "headers": fields, "content": content, "more_content": more}

    async def _disconnected(self) -> dict[str, Any]:
        while not self._channel.closed:
            if self._waiter is None or self._waiter.done():
                self._waiter = asyncio.get_running_loop().create_future()
                self._channel.on_change(partial(_resolve, self._waiter))
            await asyncio.shield(self._waiter)
        return {"type": "http.disconnect"}


def status_missing(kind: str) -> ReplyError:
    """Return the error for the start of a response without a status."""
    return ReplyError(f"{kind} needs a status: 200 to 599")


class _Nowhere:
    """Be the reply channel of an application that was answered for."""

    is_head = False
    is_writable = True
    takes_any = False
    closed = True

    def send(self, _: Any) -> None:
        """Drop a reply."""

    def hint(self, _: Any) -> None:
        """Drop a hint."""

    async def caught_up(self) -> None:
        """Return at once."""


_NOWHERE: Final[Any] = _Nowhere()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _as_single(application: Callable[..., Any]) -> Callable[..., Awaitable[None]]:
    """Make one callable of an ASGI 2 application."""
    inner_is_async = is_async_callable(application)
    if inner_is_async:
        raise ConsumerError(f"{name_of(application)} is asynchronous, and an ASGI 2 application returns a callable")

    async def call(scope: Any, receive: Any, send: Any) -> None:
        await application(scope)(receive, send)

    return call
