"""What one stream of an HTTP/2 connection sends: parts of a response, in its turn. Loop thread only.

    Exchange -> send          at once, if it is short and nothing is in its way; else `put`
    put                       into the queue; the stream is given turns (h2_schedule.py)
    pump                      its turn: one piece goes to the engine, as far as the windows allow

Content waits here, not in the engine. Senders wait while more than `write_buffer` bytes do.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from uvicorn.connections.carrier import Carrier
from uvicorn.connections.exchange import Exchange
from uvicorn.connections.flow import FLOOD_FACTOR, WriteGate
from uvicorn.connections.h2_owner import StreamOwner, Tunnelled
from uvicorn.wire.h2_head_writer import pairs_of
from uvicorn.wire.priority import Priority
from uvicorn.wire.reply import BODILESS, Fields

__all__ = ["PIECE", "PIECE_ALONE", "SendingStream"]

PIECE: Final = 16384  # bytes that a stream sends in its turn: a frame of the usual size
PIECE_ALONE: Final = 65536  # or this, while there is no other
_MOST_DIRECT: Final = 262144  # bytes that the engine is given at once, between two writes; arbitrary
_FEWEST: Final = 4  # streams take their pieces in quarters of the mark: when so much has gone, senders go on


class SendingStream(Carrier):
    """The sending side of one stream.

    Attributes:
        id: its number.
        exchange: the request and its response; None when both are over.
        tunnel: what is carried once the exchange is over: a socket.
        queued_bytes: content that waits for its turn, or for a window.
        taken_bytes: content that the client's windows have taken.
        is_sent: the response is with the engine.
        is_over: nothing is sent or taken any more.
    """

    __slots__ = (
        "_ends", "_queue", "_trailers", "exchange", "id", "is_over", "is_sent", "owner", "priority", "queued_bytes",
        "taken_bytes", "tunnel",
    )  # fmt: skip

    def _set_up(self, owner: StreamOwner, stream_id: int, priority: Priority) -> None:
        """Begin with nothing to send: for `Stream.set_up`."""
        self.service = owner.service
        self.gate = WriteGate()
        self.frames_content = True
        self.owner = owner
        self.id = stream_id
        self.priority = priority
        self.exchange: Exchange = None  # type: ignore[assignment]  # set at once: they know each other
        self.tunnel: Tunnelled | None = None
        self.queued_bytes = self.taken_bytes = 0
        self._queue: deque[bytes | memoryview] | None = None  # made when something has to wait
        self._ends = False  # the last of the response is in the queue
        self._trailers = b""
        self.is_sent = self.is_over = False

    # ---- what an exchange asks for ----

    @property
    def is_scheduled(self) -> bool:
        """Whether it waits for its turn, and not for the client."""
        return self.id in self.owner.schedule

    def is_plain(self) -> bool:
        """Whether a response says nothing of the connection: not while the worker stops."""
        return not self.owner.is_ending

    def is_first(self, exchange: Exchange) -> bool:
        """Whether it is this exchange's turn to write: it has the stream for itself."""
        return True

    def may_persist(self, exchange: Exchange) -> bool:
        """Whether another request will be answered: that is for GOAWAY to say."""
        return True

    def take_no_more(self) -> None:
        """A response says that it is the last one."""
        self.owner.take_no_more()

    def buffered_bytes(self) -> int:
        """How many bytes wait for the client: of all streams, for one that has more than its share of what may.

        So all together hold little more than twice what one alone may, and who holds little is not refused for others.
        """
        limits = self.service.limits
        share = limits.write_buffer * FLOOD_FACTOR // max(1, limits.http2.streams)
        return self.owner.queued_bytes if self.queued_bytes > share else self.queued_bytes

    def addresses(self) -> tuple[list[Any] | None, list[Any] | None]:
        """Return the client's and our address, as the messages have them."""
        return self.owner.addresses()

    def send(self, exchange: Exchange, status: int, fields: Fields, content: bytes, more: bool) -> None:
        """Send a part of a response: at once, if it is short and nothing is in its way; else in its turn."""
        if self.is_over:
            return
        owner = self.owner
        engine = owner.engine
        owner.wants_flush()
        has_body = not exchange.is_head and exchange.status not in BODILESS
        head: list[tuple[bytes, bytes]] = []
        if status:
            has_length = not more and status not in BODILESS and (content or not exchange.is_head)
            head = owner.writer.head(status, fields, len(content) if has_length else None)
            if fields.closes:
                self.service.loop.call_soon(owner.take_no_more)  # GOAWAY behind the response: some clients need that
        if not has_body:
            content = b""
        trailers = fields.trailers if has_body else b""
        if not self._queue and not trailers:
            if not content:
                if status:
                    engine.respond(self.id, head, not more)
                elif not more:
                    engine.send(self.id, b"", True)
                if not more:
                    self._sent()
                return
            if (
                len(content) <= (PIECE if owner.is_taking or len(owner.streams) > 1 else PIECE_ALONE)
                and owner.can_write
                and not owner.schedule
                and owner.direct_bytes + len(content) <= _MOST_DIRECT
                and engine.room(self.id) >= len(content)
            ):
                if status:
                    engine.respond(self.id, head, False)
                engine.send(self.id, content, not more)
                self.taken_bytes += len(content)
                owner.direct_bytes += len(content)
                owner.direct_pieces += 1 if len(content) <= PIECE else -(-len(content) // PIECE)
                if not more:
                    self._sent()
                return
        if status:
            engine.respond(self.id, head, False)
        self._trailers = trailers
        self.put(content, not more)

    def hint(self, fields: Fields) -> None:
        """Send 103 Early Hints."""
        self._inform(103, fields)

    def accept_socket(self, fields: Fields) -> None:
        """Accept a WebSocket (RFC 8441 section 5)."""
        head = self.owner.writer.head(200, fields, None)
        head = [pair for pair in head if pair[0] != b"sec-websocket-accept"]
        self.owner.engine.respond(self.id, head, False)
        self.owner.wants_flush()

    # ---- turns ----

    def put(self, content: bytes, ends: bool) -> None:
        """Have content sent in its turn."""
        if content:
            if self._queue is None:
                self._queue = deque()
            self._queue.append(content)
            self.queued_bytes += len(content)
            self.owner.queued_bytes += len(content)
            if self.queued_bytes > self.service.limits.write_buffer:
                self.gate.close()
        self._ends = self._ends or ends
        if self._queue or self._ends:
            self.owner.schedule.add(self.id, self.priority)
            self.owner.wants_flush()

    def resume(self) -> None:
        """Take turns again, if anything waits: a window has opened."""
        if self._queue:
            self.owner.schedule.add(self.id, self.priority)

    def pump(self, most: int) -> int:
        """Send the next piece; return its size, 0 if nothing can be sent now."""
        owner = self.owner
        engine = owner.engine
        size = 0
        if self._queue:
            room = engine.room(self.id)
            if room <= 0:
                owner.schedule.discard(self.id)  # until a window opens
                return 0
            piece = self._next(min(room, most))
            size = len(piece)
            self.taken_bytes += size
            engine.send(self.id, piece, self._ends and not self._queue and not self._trailers)
        elif not self._trailers:
            engine.send(self.id, b"", True)
        if not self._queue:
            owner.schedule.discard(self.id)
            if self._ends:
                if self._trailers:
                    engine.send_trailers(self.id, pairs_of(self._trailers))
                self._sent()
        if not self.gate.is_open and self.queued_bytes <= self.service.limits.write_buffer // _FEWEST:
            self.gate.open()
        if self.tunnel is not None:
            self.tunnel.drained()
        return size

    def _next(self, most: int) -> bytes | memoryview:
        """Take so many bytes out of the queue, or less."""
        queue = self._queue
        assert queue is not None
        first = queue.popleft()
        if len(first) > most:
            view = memoryview(first)  # what is left of a large one is not copied for each piece
            queue.appendleft(view[most:])
            first = view[:most]
        elif queue and len(first) < most:
            parts: list[bytes | memoryview] = [first]
            size = len(first)
            while queue and size < most:
                part = queue.popleft()
                if size + len(part) > most:
                    view = memoryview(part)
                    queue.appendleft(view[most - size :])
                    part = view[: most - size]
                parts.append(part)
                size += len(part)
            first = b"".join(parts)
        self.queued_bytes -= len(first)
        self.owner.queued_bytes -= len(first)
        return first

    def _inform(self, status: int, fields: Fields) -> None:
        self.owner.engine.inform(self.id, [(b":status", b"%d" % status), *pairs_of(fields.block)])
        self.owner.wants_flush()

    def _drop_queue(self) -> None:
        """Let go of what waits: the stream is over."""
        if self._queue is not None:
            self._queue.clear()
            self.owner.queued_bytes -= self.queued_bytes
            self.queued_bytes = 0

    def _sent(self) -> None:
        """The response is with the engine."""
        raise NotImplementedError
