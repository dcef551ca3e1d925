"""The reply channel: one object, two faces, told apart by the thread that calls it.

Theory of operation
-------------------
A `ReplyChannel` belongs to the consumer: whoever holds it may reply, from any thread or task. The exchange (loop thread
only) does the writing, and does not know the channel: when the last reference to that goes, `__del__` tells the
exchange. This is the lifetime rule ("No reply" in docs/architecture.md): nobody else may hold a channel,
but for the directory, which keeps those whose name was read (`directory.py`).

*On the loop* a reply is checked and written at once; what `send` returns can be awaited
until the client has caught up.

*In a thread* a reply is checked there, under the channel's own lock, so that the order of checks
is the order in the outbox, and put into the outbox. A reply that has more to follow goes through the
stream's `Window`, which blocks the thread while more than four times `write_buffer` bytes are on their way: waking it
up costs as much as writing several chunks.

*Both at once.* A channel that a thread has used is marked; a reply on the loop then
drains the outbox first, so it cannot overtake what a thread sent before it. The first reply of a channel that no
thread has used is checked on the loop without the lock. A thread that sends a first reply at the very
same time makes a mistake that is then not always raised: the exchange takes one of the two.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from threading import get_ident
from typing import Any, Final

from uvicorn.bridge.file_replies import admit_opened, drop_opened
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pressure import DRAINED, Drained, Window, closed_error
from uvicorn.bridge.sink import ReplySink
from uvicorn.errors import ChannelFull, ReplyError
from uvicorn.wire.reply import Reply, encode_fields
from uvicorn.wire.reply_sequence import DONE, START, STREAM, ReplySequence
from uvicorn.wire.shared import SharedMessage

__all__ = ["ReplyChannel"]

_making_lock: Final = threading.Lock()  # held while a channel gets its own


class ReplyChannel(ReplySequence):
    """The channel of the replies to one message (ASGI draft, "Channels and Messages", reply channels).

    Safe to use from any thread or task.

    Args:
        lock: an unlocked lock of its own, if a thread is going to use it; otherwise it is made when one does.
    """

    __slots__ = ("_exchange", "_is_shared", "_lock", "_name", "_outbox", "_window")

    def __init__(self, exchange: ReplySink, outbox: Outbox, lock: threading.Lock | None = None) -> None:
        self.begin(exchange, outbox, lock)

    def begin(self, exchange: ReplySink, outbox: Outbox, lock: threading.Lock | None) -> None:
        """Set all there is: for who makes one for each request, with `__new__`, which is cheaper when compiled."""
        self._is_head = exchange.is_head
        self._state = START
        self._remaining = None
        self._exchange = exchange
        self._outbox = outbox
        self._is_shared = False  # a thread has sent through it
        self._lock = lock  # held for a check and a put, never while somebody waits
        self._window: Window | None = None
        self._name: str | None = None

    def __repr__(self) -> str:
        return f"<ReplyChannel {self._named()}{' closed' if self.closed else ''}>"

    def __del__(self) -> None:
        # Once the loop is closed nobody is left to answer; the interpreter may be ending, with its modules gone.
        if self._state != DONE and not self._outbox.loop.is_closed():
            # Through the outbox even on the loop: replies of threads must come first.
            self._outbox.put(self._exchange.on_dropped)

    @property
    def name(self) -> str:
        """A name that no other reply channel has, in any process. To read it keeps the channel (`directory.py`)."""
        name = self._named()
        if not self.closed:
            self._outbox.directory.keep(name, self)
        return name

    @property
    def own_name(self) -> str:
        """Its name, for who passes it to nobody: it is not kept."""
        return self._named()

    def _named(self) -> str:
        if self._name is None:
            self._name = self._outbox.directory.new_name("http.response")
        return self._name

    @property
    def closed(self) -> bool:
        """Whether the client has left, or the exchange is over. Runs on: any thread."""
        return self._exchange.is_closed or self._state == DONE

    def send(self, reply: Mapping[str, Any]) -> Awaitable[None]:
        """Send one reply: a whole response, or the first, the next or the last part of one.

        Args:
            reply: `status` (int, 200 to 599), `headers` (pairs of bytes, or str in latin-1),
                `content` (bytes-like), `more_content` (bool, default False). The first reply
                must have a status, later ones must not, nor headers. Instead of `content`, `file`: a path, an open
                binary file, which is closed, or (one of both, offset, count).

        Returns: an awaitable that is done when the client has caught up. Awaiting it is right for a
            stream, and needless for one reply. In a thread it is done already.
        Raises: ReplyError for a reply that is not allowed; OSError for a file that cannot be opened;
            ChannelClosed when the client has left; ServerStopping when the worker cannot wait any longer;
            ChannelFull on the loop, when a client is far behind a consumer that does not await.
        Runs on: any thread.
        Blocks: in a thread, for a reply with `more_content`, while the client is more than four times
            `write_buffer` bytes behind; until it catches up, leaves, or the worker stops.
        Cancellation: cancelling the wait on the loop does not take back what was sent.
        Spec: ASGI draft (django/channels cd34f65), "Response" and "Response Chunk".
        """
        exchange = self._exchange
        thread = get_ident()
        if thread != self._outbox.loop_thread:
            self._send_from_thread(reply)
            return DRAINED
        if self._state or self._is_shared or exchange.is_closed:
            return self._send_more(reply)
        admitted = self.admit(reply)
        if exchange.reply(admitted):
            return DRAINED
        return self._drained(admitted)

    def _send_more(self, reply: Mapping[str, Any]) -> Awaitable[None]:
        """Send what is not the first reply, or not through this channel's first sender. Runs on: the loop."""
        exchange = self._exchange
        with self._locked():
            if self._is_shared:
                self._outbox.drain_now()
            if exchange.is_closed and self._state != DONE:
                drop_opened(reply)
                raise closed_error(exchange)
            if self._state and exchange.is_flooded():
                drop_opened(reply)
                raise ChannelFull("the client is far behind: await what send() returns")
            admitted = self.admit(reply)
            exchange.reply(admitted)
        return self._drained(admitted)

    def _admit_opened(self, reply: Mapping[str, Any]) -> Reply:
        return admit_opened(self, reply, self._is_head, get_ident() == self._outbox.loop_thread)

    def _locked(self) -> threading.Lock:
        """Return the channel's lock. Runs on: any thread."""
        if self._lock is None:
            with _making_lock:
                if self._lock is None:
                    self._lock = threading.Lock()
        return self._lock

    def _drained(self, admitted: Reply) -> Drained:
        """Return what to await after a reply; one with more to come takes a turn of the loop at least."""
        return Drained(self._exchange) if admitted[3] or not self._exchange.is_writable() else DRAINED

    def hint(self, headers: Iterable[tuple[bytes | str, bytes | str]]) -> None:
        """Send these fields ahead of the response, as 103 Early Hints (RFC 8297).

        Nothing is sent to a client of HTTP/1.0, after the response has begun, or before it is this request's turn.

        Raises: ReplyError for fields that are not allowed.
        Runs on: any thread. Blocks: never.
        """
        fields = encode_fields(headers)
        if not fields.is_plain:
            raise ReplyError("fields about the connection or the content cannot be sent as hints")
        if get_ident() == self._outbox.loop_thread:  # at once, or the reply would overtake it
            self._exchange.hint(fields)
        else:
            self._outbox.put(self._exchange.hint, fields)

    # ---- for adapters that call `send` much: on the loop only ----

    def note_work(self, work: Any) -> None:
        """Note what is done in threads for this request (`work.py`), for the log."""
        self._exchange.work = work

    def read_aside(self, work: Callable[[], Any]) -> asyncio.Future[Any]:
        """Have a thread do what waits for a disk: one of the few for files, and none of the pool.

        Returns: what the work returns. If nobody waits for that any more it is let go of.
        Raises: ChannelFull if too much waits: its request gets 503.
        """
        done: asyncio.Future[Any] = self._outbox.loop.create_future()
        self._exchange.read_aside(work, partial(_settle_future, done))
        return done

    @property
    def is_complete(self) -> bool:
        """Whether a whole response was sent."""
        return self._state == DONE

    @property
    def is_writable(self) -> bool:
        """Whether the client has caught up."""
        return self._exchange.is_writable()

    def send_shared(self, message: SharedMessage) -> bool:
        """Return False: each response is looked at by itself, with `send`."""
        return False

    def give_up(self, reason: str) -> None:
        """Answer 503, or close the connection: the client is too slow for what is sent to it."""
        self._exchange.refuse(503, reason)

    def tell_gap(self, missed: int | None) -> None:
        """Do nothing: nobody hears of a gap in the replies to a request."""

    @property
    def is_head(self) -> bool:
        """Whether the request's method is HEAD."""
        return self._is_head

    @property
    def takes_any(self) -> bool:
        """Whether the response has begun, and any chunk may follow: none was promised to be of a certain size."""
        return self._state == STREAM and self._remaining is None and not self._exchange.is_closed

    def caught_up(self) -> Awaitable[None]:
        """Return what can be awaited until the client has caught up; others are served meanwhile."""
        return Drained(self._exchange)

    def when_changed(self, callback: Callable[[], None]) -> None:
        """Call back once, when the client has caught up or left; look at `closed` then."""
        self._exchange.when_writable(callback)

    def _send_from_thread(self, reply: Mapping[str, Any]) -> None:
        exchange = self._exchange
        window = None
        with self._locked():
            if exchange.is_closed and self._state != DONE:
                drop_opened(reply)
                raise closed_error(exchange)
            self._is_shared = True
            admitted = self.admit(reply)
            if admitted[3]:
                if self._window is None:
                    self._window = Window(exchange)
                window = self._window
                fields = admitted[1]
                if fields.file is None:
                    window.take(len(admitted[2]))
                    self._outbox.put(window.deliver, admitted)
                else:
                    window.take(fields.file.left)
                    self._outbox.put(window.deliver_file, admitted)
            else:
                exchange.is_answered = True
                self._outbox.put(exchange.reply, admitted)
        if window is not None:
            window.wait()


def _settle_future(done: asyncio.Future[Any], result: Any) -> None:
    if done.done():
        return  # it was cancelled
    if isinstance(result, Exception):
        done.set_exception(result)
    else:
        done.set_result(result)
