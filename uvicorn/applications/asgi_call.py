"""One call of an ASGI application: its `receive` and `send`. Compiled where it can be.

    http.response.start is kept until the first http.response.body
    each body -> reply_channel.send
    http.response.trailers -> the last reply, if http.response.start has announced them

Runs on: the loop. Spec: as in `asgi.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, MutableMapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from uvicorn.applications.asgi_ended import LEFT, NOWHERE
from uvicorn.applications.asgi_files import file_reply, keep_to
from uvicorn.bridge.channels import ReplyChannel
from uvicorn.bridge.pressure import resolve
from uvicorn.bridge.work import Work
from uvicorn.errors import ChannelClosed, ReadTimeout, ReplyError
from uvicorn.wire.reply import encode_fields

__all__ = ["HTTPCall", "status_missing"]

_FULL: Final = {
    "status": 503,
    "headers": [(b"content-type", b"text/plain; charset=utf-8"), (b"retry-after", b"1")],
    "content": b"503 Service Unavailable\n",
}
_STUCK: Final = {
    "status": 504,
    "headers": [(b"content-type", b"text/plain; charset=utf-8")],
    "content": b"504 Gateway Timeout\n",
}
_STRIDE: Final = 65536  # bytes of a stream between two turns of the loop, so that others are served; arbitrary
_GATHERED: Final = 16384  # bytes of small chunks that are written at once; arbitrary
_CHUNK_COST: Final = 1024  # bytes that a chunk counts beside its own: many small ones take time, too


class HTTPCall:
    """`receive` and `send` of one request. Runs on: the loop.

    Args:
        threads: what the application's framework may hand to threads runs in these (`FrameworkThreads`), or None.

    Attributes:
        work: what threads do for it; None until the first call (`get_work`).
    """

    __slots__ = (
        "_body", "_body_channel", "_channel", "_fields", "_gathered", "_has_begun", "_has_trailers", "_is_flush_due",
        "_is_received", "_parts", "_since_turn", "_status", "_trailers", "_waiter", "threads", "work",
    )  # fmt: skip

    def __init__(self, message: Any, threads: Any = None) -> None:
        self._channel: ReplyChannel = message["reply_channel"]
        self._body: bytes = message["body"]
        self._body_channel = message["body_channel"]
        self._is_received = False
        self._has_begun = False  # something was sent
        self._status = 0  # of a response that was started, until its first content
        self._fields: Any = ()
        self._has_trailers = False  # they follow the content
        self._trailers: list[Any] = []
        self._since_turn = 0
        self._parts: list[bytes] = []  # chunks that are not written yet
        self._gathered = 0  # their bytes
        self._is_flush_due = False
        self._waiter: asyncio.Future[None] | None = None
        self.threads = threads
        self.work: Work | None = None

    def get_work(self) -> Work:
        """Return what threads do for this request, from the first call on."""
        if self.work is None:
            if self._channel is LEFT:
                return Work(self.threads, is_outside=True)  # asked by a task that was left behind
            self.work = Work(self.threads, self._channel)
            self.work.is_answered = self._channel.is_complete
            self._channel.note_work(self.work)
        return self.work

    def leave(self) -> None:
        """Let go of the reply channel: the application has returned.

        Its tasks that go on have this call in their context, and must not keep a client waiting for nothing.
        """
        self._channel = LEFT
        if self.work is not None:
            self.work.end()

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
        waits = self._take(event)
        if waits is not None:
            await waits

    def _take(self, event: MutableMapping[str, Any]) -> Awaitable[None] | None:
        """Take one event; return what is to be awaited, if there is anything."""
        given = event if type(event) is dict else dict(event)
        kind = given["type"]
        if kind == "http.response.body":
            content = given.get("body", b"")
            channel = self._channel
            if given.get("more_body", False):
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
                    return channel.caught_up()
                return None
            if self._parts:
                content = b"".join([*self._parts, content])
                self._parts.clear()
            if self._has_trailers:
                more = {"content": content, "more_content": True}
                channel.send(self._begun(content, True) if self._status else more)
                return None
            channel.send(self._begun(content, False) if self._status else {"content": content})
            if self.work is not None:
                self.work.is_answered = True
            if self._waiter is not None:
                resolve(self._waiter)
        elif kind == "http.response.start":
            if self._status:
                raise ReplyError("http.response.start was sent twice")
            self._fields = given.get("headers", ())
            self._has_trailers = bool(given.get("trailers", False))
            try:
                self._status = given["status"]
            except KeyError:
                raise status_missing(kind) from None
            if self._status >= 500 and self.work is not None and self.work.is_refused:
                self.refuse()
        elif kind == "http.response.trailers" and self._has_trailers and self._has_begun:
            self._end_with_trailers(given)
        elif kind == "http.response.early_hint":
            self._channel.hint([(b"link", link) for link in given["links"]])
        elif kind == "http.response.pathsend" or kind == "http.response.zerocopysend":
            return self._send_file(given)
        else:
            raise ReplyError(
                f"an ASGI application cannot send {kind!r} here; allowed are http.response.start, "
                "http.response.body, http.response.pathsend, http.response.zerocopysend, http.response.early_hint, and "
                "http.response.trailers behind the content if the start has said so"
            )
        return None

    async def _send_file(self, event: MutableMapping[str, Any]) -> None:
        """Send a file, or a part of one. Raises: OSError if it cannot be opened, besides what `send` raises."""
        self._flush()
        reply = await file_reply(event, self._channel)
        more = bool(event.get("more_body", False)) or self._has_trailers
        reply["more_content"] = more
        if self._status:
            fields = encode_fields(self._fields)
            if fields.content_length is not None and not more:
                keep_to(fields.content_length, reply)
            reply.update(status=self._status, headers=fields)
        self._channel.send(reply)
        self._status = 0
        self._has_begun = True
        if more:
            await self._channel.caught_up()
            return
        if self.work is not None:
            self.work.is_answered = True
        if self._waiter is not None:
            resolve(self._waiter)

    def _end_with_trailers(self, event: MutableMapping[str, Any]) -> None:
        """Take trailers; with the last of them the response is complete."""
        self._flush()
        self._trailers += event.get("headers", ())
        if event.get("more_trailers", False):
            return
        self._channel.send({"content": b"", "trailers": self._trailers})
        if self.work is not None:
            self.work.is_answered = True
        if self._waiter is not None:
            resolve(self._waiter)

    def refuse(self) -> bool:
        """Answer 503 or 504 instead of the application, if it has no thread for a call and nothing was sent.

        Returns: whether that is, or was, so; the application's own answer to its failure goes nowhere.
        """
        if self.work is None or not self.work.is_refused:
            return False
        if self._channel is not NOWHERE:
            if self._has_begun:
                return False
            channel, self._channel = self._channel, NOWHERE
            with suppress(ChannelClosed):
                channel.send(_STUCK if self.work.is_stuck else _FULL)
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
        """Return the first reply."""
        status, self._status = self._status, 0
        self._has_begun = True
        if more:
            return {"status": status, "headers": self._fields, "content": content, "more_content": True}
        return {"status": status, "headers": self._fields, "content": content}

    async def _disconnected(self) -> dict[str, Any]:
        while not self._channel.closed:
            if self._waiter is None or self._waiter.done():
                self._waiter = asyncio.get_running_loop().create_future()
                self._channel.when_changed(partial(resolve, self._waiter))
            await asyncio.shield(self._waiter)
        return {"type": "http.disconnect"}


def status_missing(kind: str) -> ReplyError:
    """Return the error for the start of a response without a status."""
    return ReplyError(f"{kind} needs a status: 200 to 599")
