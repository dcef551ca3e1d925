"""What an HTTP/2 connection writes, and when. Loop thread only.

    wants_flush       somebody has given the engine something, or a stream has a turn
    flush             at the end of the turn: what the schedule says goes to the engine, what the engine says is written

What an engine has to say is gathered until the end of a turn: the answers to many requests are one write. What goes to
the engine is what the windows allow and what the client takes; all else waits in the streams, bounded as over HTTP/1.1.
"""

from __future__ import annotations

from typing import Final

from uvicorn.connections.h2_ending import EndingConnection
from uvicorn.connections.h2_sending import PIECE, PIECE_ALONE
from uvicorn.connections.service import Lent
from uvicorn.wire.h2_engine import NO_ERROR, EngineMaker
from uvicorn.wire.h2_head_writer import HeadWriter

__all__ = ["WritingConnection"]

_MOST_PER_FLUSH: Final = 262144  # bytes of content in one turn of the loop, so that others are served; arbitrary
_MOST_PER_WRITE: Final = 65536


class WritingConnection(EndingConnection):
    """The sending side of one connection."""

    __slots__ = ("_is_flush_due",)

    def __init__(self, lent: Lent, make_engine: EngineMaker, writer: HeadWriter) -> None:
        super().__init__(lent, make_engine, writer)
        self._is_flush_due = False

    def flush(self) -> None:
        """Write what the windows and the client allow."""
        self._is_flush_due = False
        schedule = self.schedule
        left = _MOST_PER_FLUSH
        try:
            unwritten = 0
            while schedule and self.can_write and left > 0 and not self.is_over:
                stream_id = schedule.next()
                stream = self.streams.get(stream_id)
                if stream is None:
                    schedule.discard(stream_id)
                    continue
                size = stream.pump(PIECE_ALONE if schedule.has_one() else PIECE)
                left -= size or 1
                unwritten += size
                if size:
                    self.accounts.give("window", 2 * -(-size // PIECE))
                if unwritten >= _MOST_PER_WRITE:
                    unwritten = 0
                    self.write_output()
            self.write_output()
        except Exception:
            self.fail()
        if schedule and self.can_write:
            self.wants_flush()

    def write_output(self) -> None:
        """Write what the engine has to say."""
        if self.is_over:
            return
        if self.direct_pieces:
            self.accounts.give("window", 2 * self.direct_pieces)
            self.direct_bytes = self.direct_pieces = 0
        data = self._said()
        if self.unwanted:  # an engine forgets what was not written of a stream that is reset
            unwanted, self.unwanted = self.unwanted, []
            for stream_id in unwanted:
                self.engine.reset(stream_id, NO_ERROR)
            data += self._said()
        if data:
            self.written_bytes += len(data)
            self.service.numbers.sent_bytes += len(data)
            self.transport.write(data)
        if self.accounts.overdrawn and not self.is_over:
            self.calm_down()

    def wants_flush(self) -> None:
        """Have what waits written at the end of this turn."""
        if not self._is_flush_due and not self.is_over:
            self._is_flush_due = True
            self.service.loop.call_soon(self.flush)

    def _said(self) -> bytes:
        """Return what the engine has to say."""
        raise NotImplementedError
