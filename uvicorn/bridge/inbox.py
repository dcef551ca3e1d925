"""The rest of a request body on its way to a consumer: one class for each kind of reader.

Theory of operation
-------------------
The loop feeds; the consumer reads. Both sides of an inbox have the same names (`feed`, `end`, `fail`
on the loop; `receive`, iteration and `read` for the consumer), and both are bounded by bytes: above
`high_water` the source stops reading from the client, below half of it reading goes on.

`BodyChannel` serves a coroutine: everything happens on the loop. `ThreadBodyChannel` serves a
thread: what came in one turn of the loop crosses as one item of a janus queue, made for this one stream, whose
blocking `get` needs no wake-up of the loop. What the thread has read goes back through the outbox, one item for
each half of the mark. What was collected before the consumer was called needs none of it (`collected.py`).

A source that must be told when the body is first asked for (`Expect: 100-continue`) is told so
from the first `receive`.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from queue import Empty
from typing import Any, Protocol

from uvicorn.bridge.chunks import BlockingReader, content_of, joined, loss, too_large
from uvicorn.bridge.outbox import Outbox
from uvicorn.errors import ChannelClosed

__all__ = ["BodyChannel", "BodySource", "ThreadBodyChannel"]


class BodySource(Protocol):
    """The connection's side of a streamed body. All methods run on: the loop."""

    def on_wanted(self, _: object = None) -> None:
        """The consumer asks for the body: 100 Continue is said if the client waits for it."""

    def hold(self) -> None:
        """Stop reading from the client."""

    def release(self) -> None:
        """Read on."""

    set_waiting: Callable[[bool], None]  # marks the reading thread as blocked in a channel; called in that thread


class BodyChannel:
    """The rest of a body, for a coroutine.

    Yields: `async for` gives the chunks, as bytes.
    Spec: ASGI draft (django/channels cd34f65), "Request Body Chunk".
    """

    def __init__(self, source: BodySource, high_water: int) -> None:
        self._source = source
        self._high_water = high_water
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._is_ended = False
        self._error: Exception | None = None
        self._is_over = False  # the last chunk, or the loss, was told
        self._is_wanted = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def closed(self) -> bool:
        """Whether nothing can be received any more."""
        return self._is_over

    @property
    def is_awaited(self) -> bool:
        """Whether the consumer waits for the client just now."""
        return self._waiter is not None

    async def receive(self) -> dict[str, Any]:
        """Return the next chunk of the body, waiting for it if needed.

        Returns: {"content": bytes, "more_content": bool}; or {"closed": True}, once, if the client left.
        Raises: ChannelClosed on any later call; ReadTimeout after `body_timeout` seconds without data.
        Runs on: the loop. Cancellation: loses nothing; a worker that stops cancels the task.
        """
        if self._is_over:
            raise ChannelClosed("the body has been received")
        if not self._is_wanted:
            self._is_wanted = True
            self._source.on_wanted()
        while not self._chunks and not self._is_ended and self._error is None:
            if self._waiter is not None:
                raise RuntimeError("another task is receiving from this body channel already")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if not self._chunks and self._error is not None:
            self._is_over = True
            return loss(self._error)
        content = self._chunks.popleft() if self._chunks else b""
        self._size -= len(content)
        if self._size <= self._high_water // 2:
            self._source.release()
        self._is_over = self._is_ended and not self._chunks
        return {"content": content, "more_content": not self._is_over}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not self._is_over:
            content = content_of(await self.receive())
            if content:
                yield content

    async def read(self, limit: int) -> bytes:
        """Gather the rest of the body.

        Args:
            limit: the most bytes to gather.

        Raises: BodyTooLarge past the limit; else as `receive`, and ChannelClosed if the client left.
        """
        chunks: list[bytes] = []
        left = limit
        async for chunk in self:
            left -= len(chunk)
            if left < 0:
                raise too_large(limit)
            chunks.append(chunk)
        return joined(chunks)

    # ---- fed by the connection ----

    def feed(self, data: bytes) -> None:
        """Add what the client sent."""
        self._chunks.append(data)
        self._size += len(data)
        if self._size > self._high_water:
            self._source.hold()
        self._wake()

    def end(self) -> None:
        """Mark the end of the body."""
        self._is_ended = True
        self._wake()

    def fail(self, error: Exception) -> None:
        """Break off: ChannelClosed if the client left, else what `receive` is to raise."""
        if not self._is_ended and self._error is None:
            self._error = error
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class ThreadBodyChannel(BlockingReader):
    """The rest of a body as it comes, for a thread.

    Yields: iteration gives the chunks, as bytes.
    Spec: ASGI draft (django/channels cd34f65), "Request Body Chunk".
    """

    def __init__(self, source: BodySource, high_water: int, outbox: Outbox) -> None:
        self._source = source
        self._high_water = high_water
        self._outbox = outbox
        import janus  # only here: most processes stream no body to a thread

        self._queue: janus.Queue[deque[bytes] | Exception | None] = janus.Queue()  # bounded by bytes, by the source
        self._gathered: deque[bytes] = deque()  # loop only: fed in this turn
        self._batch: deque[bytes] = deque()  # reader only: what it got last
        self._reading = threading.Lock()
        self._size = 0  # loop only: fed, and not yet known to be read
        self._unreported = 0  # reader only: read, and not yet told to the loop
        self._is_over = False
        self._is_wanted = False
        self.is_awaited = False  # the consumer waits for the client just now; written by its thread, read by the loop

    def receive(self) -> dict[str, Any]:
        """Return the next chunk of the body, waiting for it if needed.

        Returns: {"content": bytes, "more_content": bool}; or {"closed": True}, once, if the client left.
        Raises: ChannelClosed on any later call; ReadTimeout after `body_timeout` seconds without data;
            ServerStopping.
        Runs on: the consumer's thread. Blocks: until data, end, loss, timeout or stop.
        """
        with self._reading:
            if self._is_over:
                raise ChannelClosed("the body has been received")
            if not self._is_wanted:
                self._is_wanted = True
                self._outbox.put(self._source.on_wanted)
            if not self._batch:
                item = self._next()
                if isinstance(item, deque):
                    self._batch = item
                else:
                    self._is_over = True
                    return loss(item) if item is not None else {"content": b"", "more_content": False}
            content = self._batch.popleft()
            self._report(len(content))
            return {"content": content, "more_content": True}

    def _next(self) -> deque[bytes] | Exception | None:
        queue = self._queue.sync_q
        try:
            return queue.get_nowait()
        except Empty:  # janus.SyncQueueEmpty is the same
            self._source.set_waiting(True)
            self.is_awaited = True
            try:
                return queue.get()
            finally:
                self.is_awaited = False
                self._source.set_waiting(False)

    def _report(self, size: int) -> None:
        self._unreported += size
        if self._unreported > self._high_water // 2:
            self._outbox.put(self._settle, self._unreported)
            self._unreported = 0

    # ---- fed by the connection, on the loop ----

    def feed(self, data: bytes) -> None:
        """Add what the client sent."""
        self._size += len(data)
        if self._size > self._high_water:
            self._source.hold()
        if not self._gathered:
            self._outbox.loop.call_soon(self._pass_on)
        self._gathered.append(data)

    def end(self) -> None:
        """Mark the end of the body."""
        self._pass_on()
        self._queue.async_q.put_nowait(None)

    def fail(self, error: Exception) -> None:
        """Break off: ChannelClosed if the client left, else what `receive` is to raise."""
        self._pass_on()
        self._queue.async_q.put_nowait(error)

    def _pass_on(self) -> None:
        if self._gathered:
            gathered, self._gathered = self._gathered, deque()
            self._queue.async_q.put_nowait(gathered)

    def _settle(self, size: int) -> None:
        self._size -= size
        if self._size <= self._high_water // 2:
            self._source.release()
