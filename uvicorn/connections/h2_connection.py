"""One HTTP/2 connection: bytes in, streams out.

    data_received -> Intake -> _take      a piece of bytes for the engine (wire/h2_engine.py), which tells of frames
    Frames.on_request (h2_frames.py)      wire/h2_head.py: the message; a Stream and its exchange; the dispatcher
    Frames.on_data                        Stream.data_came (h2_stream.py) -> body.py
    Exchange.reply -> Stream.send         at once, or into the stream's queue (h2_sending.py)
    flush (h2_writing.py)                 what the schedule says goes to the engine, what the engine says is written
    begin_ending ... close                how it ends: h2_ending.py

How many frames are in a piece of bytes is known when the engine has told of them. So pieces are small while requests
come, and large while content does, and what was told of counts as steps of this client's turn (`turns.py`).

Loop thread only. Nothing escapes into the loop.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

from uvicorn.connections.h2_frames import Frames
from uvicorn.connections.h2_writing import WritingConnection
from uvicorn.connections.intake import PIPELINE
from uvicorn.connections.service import Lent
from uvicorn.errors import ChannelClosed
from uvicorn.wire.h2_engine import PREFACE, EngineError, EngineMaker
from uvicorn.wire.h2_head_writer import HeadWriter

__all__ = ["Http2", "Http2Connection"]

_SMALLEST_PIECE: Final = 1024  # bytes that are given to the engine at once: up to 113 frames
_FIRST_PIECE: Final = 4096
_LARGEST_PIECE: Final = 262144
_SMALL_FRAME: Final = 1024  # bytes on average: then the next piece is smaller
_MANY: Final = 16  # frames told of in one step; then the next piece is smaller
_CHEAP: Final = 8  # frames other than heads count as one step together
_LARGE_BLOCK: Final = 1048576
_SILENT_FRAMES: Final = 12  # frames of the largest size that may come without any being told of: a head in pieces


class Http2:
    """What the HTTP/2 connections of a worker share, and when a connection becomes one.

    Args:
        make_engine: makes what knows the frames of one connection.
        cleartext: "off"; "prior-knowledge": a client begins with the preface, and is trusted; "both": or does not.
    """

    def __init__(self, make_engine: EngineMaker, cleartext: str = "off") -> None:
        self.make_engine: Final = make_engine
        self.is_cleartext = cleartext != "off"
        self.is_strict = cleartext == "prior-knowledge"
        self.writer: HeadWriter | None = None
        _keep_heap()

    def is_negotiated(self, transport: asyncio.BaseTransport) -> bool:
        """Whether client and server have agreed upon HTTP/2 in their TLS handshake (ALPN)."""
        tls = transport.get_extra_info("ssl_object")
        return tls is not None and tls.selected_alpn_protocol() == "h2"

    def begin(self, connection: Lent, has_preface: bool) -> None:
        """Go on with a connection as one of HTTP/2.

        Args:
            has_preface: it was read already.
        """
        if self.writer is None:
            self.writer = HeadWriter(connection.service.encoder)
        Http2Connection(connection, self.make_engine, self.writer).begin(has_preface)


class Http2Connection(WritingConnection):
    """One connection of a client. Arguments as those of its base."""

    __slots__ = ("_frames", "_piece")

    def __init__(self, lent: Lent, make_engine: EngineMaker, writer: HeadWriter) -> None:
        super().__init__(lent, make_engine, writer)
        self._frames = Frames(self)
        self._piece = _FIRST_PIECE

    # ---- called by the loop ----

    def begin(self, has_preface: bool) -> None:
        """Go on with the connection, and say our settings."""
        service = self.service
        service.connections.add(self)
        self.transport.set_protocol(cast(asyncio.Protocol, self))  # not a subclass: a compiled class has no such base
        self.intake.hand_over(self._take, self._paused)
        self.engine.start()
        if has_preface:
            self._take(PREFACE, 0)
        self.write_output()
        if service.is_stopping:
            self.begin_ending()

    def data_received(self, data: bytes) -> None:
        """Take in what the client sent."""
        self.service.numbers.received_bytes += len(data)
        self.intake.receive(data)

    def eof_received(self) -> bool:
        """The client has left: HTTP/2 knows no half-closed connections."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()  # a transport that closes sends first what it has: nobody would notice
        return False

    def pause_writing(self) -> None:
        """The client is behind: nothing more is read from it, or its frames would make more to write."""
        self.can_write = False
        self.intake.hold(PIPELINE)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.can_write = True
        self.intake.release(PIPELINE)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: nobody is left to answer."""
        self.is_over = True
        self.intake.drop()
        self.service.connections.discard(self)
        self.lose_all(ChannelClosed("the client has left"))
        self.service.on_connection_lost(self.place)

    # ---- bytes ----

    def _take(self, data: bytes, at: int) -> int:
        """Give the engine one piece; return where the next one begins."""
        size = len(data)
        if self.is_over or self.is_ended:
            return size
        end = min(at + self._piece, size)
        piece = data if end - at == size else memoryview(data)[at:end]
        self._frames.steps = 0
        self.is_taking = True
        try:
            told = self.engine.receive(piece, self._frames)
        except EngineError as error:
            self.break_off(error.code, error.reason)
            return size
        except Exception:
            self.fail()
            return size
        finally:
            self.is_taking = False
        self._frames.feed_gathered()
        if self.closes_when_idle and self.requests:  # its GOAWAY came just now, or the last stream ended while we took
            self.end_with_last()
        self._learn(told, len(piece))
        if self.accounts.overdrawn:
            self.calm_down()
        return size if self.is_over else end

    def _learn(self, told: int, size: int) -> None:
        """Find out how large the next piece may be, and what this one has cost."""
        if told:
            self.silent_bytes = 0
            self.watch.heard()
        else:
            self.silent_bytes += size
            if self.silent_bytes > _SILENT_FRAMES * self.service.limits.http2.frame_size:
                self.accounts.overdrawn = "bytes without a frame"
        if told > _MANY and told * _SMALL_FRAME > size:
            self._piece = max(self._piece // 2, _SMALLEST_PIECE)
        elif self._piece < _LARGEST_PIECE:
            self._piece *= 2
        self.intake.more_steps = self._frames.steps + told // _CHEAP

    def _paused(self) -> None:
        """All is taken, or the rest waits for its turn: consumers that begin early get what has come."""
        frames = self._frames
        if frames.fresh:
            fresh, frames.fresh = frames.fresh, []
            for body in fresh:
                body.on_paused()
        if not self._is_flush_due:
            self.flush()

    def _said(self) -> bytes:
        return self.engine.output(self._frames)


def _keep_heap() -> None:
    """Have glibc keep up to 2 MiB at the end of its heap: twice the size of the largest mapped block that was freed.

    It keeps 512 KiB otherwise (after a read of uvloop's, of 256,000 bytes), and the frames of one such read are more,
    with what they are joined to: each read of an upload would ask the system for pages that the one before gave back.
    """
    bytes(_LARGE_BLOCK)
