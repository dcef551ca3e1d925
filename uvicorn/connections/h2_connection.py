"""One HTTP/2 connection: bytes in, streams out.

    data_received -> Intake -> _take      a piece of bytes for the engine (wire/h2_engine.py), which tells of frames
    on_request                            wire/h2_head.py: the message; a Stream and its exchange; the dispatcher
    on_data                               Stream.data_came -> body.py
    Exchange.reply -> Stream.send         at once, or into the stream's queue
    _flush                                what the schedule says goes to the engine, what the engine says is written

What an engine has to say is gathered until the end of a turn: the answers to many requests are one write. What goes to
the engine is what the windows allow and what the client takes; all else waits in the streams, bounded as over HTTP/1.1.

How many frames are in a piece of bytes is known when the engine has told of them. So pieces are small while requests
come, and large while content does, and what was told of counts as steps of this client's turn (`turns.py`).

Stopping (RFC 9113 section 6.8): a GOAWAY that refuses nothing, and a ping; when that is answered, or a second later,
the GOAWAY that names the last stream. The connection is closed when the last stream is over.

Loop thread only. Nothing escapes into the loop.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from uvicorn.connections.body import RequestBody
from uvicorn.connections.crowding import CLOSING, IDLE, NEW, WAITING, Standing
from uvicorn.connections.exchange import Exchange
from uvicorn.connections.h2_limits import Accounts
from uvicorn.connections.h2_stream import PIECE, Stream, StreamOwner
from uvicorn.connections.h2_tunnel import begin_tunnel
from uvicorn.connections.h2_watch import Http2Watch
from uvicorn.connections.intake import PIPELINE, Intake
from uvicorn.connections.service import Lent, Service
from uvicorn.errors import ChannelClosed, ClientError, ServerStopping
from uvicorn.wire.h2_engine import (
    ENHANCE_YOUR_CALM,
    NO_ERROR,
    PREFACE,
    PROTOCOL_ERROR,
    EngineError,
    EngineMaker,
    Pairs,
)
from uvicorn.wire.h2_head import HeadReader, HeadWriter
from uvicorn.wire.priority import DEFAULT, Priority, read_priority

__all__ = ["Http2", "Http2Connection"]

_SMALLEST_PIECE: Final = 1024  # bytes that are given to the engine at once: up to 113 frames
_FIRST_PIECE: Final = 4096
_LARGEST_PIECE: Final = 262144
_SMALL_FRAME: Final = 1024  # bytes on average: then the next piece is smaller
_MANY: Final = 16  # frames told of in one step; then the next piece is smaller
_CHEAP: Final = 8  # frames other than heads count as one step together
_MOST_PER_FLUSH: Final = 262144  # bytes of content in one turn of the loop, so that others are served; arbitrary
_MOST_PER_WRITE: Final = 65536
_SILENT_FRAMES: Final = 12  # frames of the largest size that may come without any being told of: a head in pieces
_TOO_LATE: Final = 0.25  # resets that one counts as which comes behind the answer; they cross on their way
_EARLY: Final = 100  # PRIORITY_UPDATEs that are kept for streams to come; arbitrary


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


class Http2Connection(StreamOwner):
    """One connection of a client.

    Args:
        lent: the connection that it was until now.

    Attributes:
        streams: those that are not over: number -> stream.
        requests: how many heads were read.
        silent_bytes: what came since a frame was last told of.
    """

    __slots__ = (
        "_closes_when_idle", "_early", "_fresh", "_gathering", "_has_announced", "_is_ended", "_is_final",
        "_is_flush_due", "_is_over", "_is_taking", "_parts", "_piece", "_reader", "accounts", "address", "intake",
        "place", "requests", "silent_bytes", "steps", "streams", "transport", "watch", "written_bytes",
    )  # fmt: skip

    def __init__(self, lent: Lent, make_engine: EngineMaker, writer: HeadWriter) -> None:
        service: Service = lent.service
        super().__init__(service, make_engine(), writer)
        self.place = lent.place
        self.address = lent.address
        self.transport = lent.transport
        self.intake: Intake = lent.intake
        self.streams: dict[int, Stream] = {}
        self.accounts = Accounts(service.loop.time())
        client, server = lent.addresses()
        if client and client[0] != self.address:  # a PROXY header has named it
            policy = service.peers.policy_behind(self.address, client[0])
        else:
            policy = service.peers.header_policy(self.address)
        self._reader = HeadReader(service.base_message(client, server), policy, service.limits)
        self._early: dict[int, Priority] = {}
        self._gathering = 0  # a stream
        self._parts: list[bytes] = []  # what has come on it with the piece that the engine takes just now
        self._fresh: list[RequestBody] = []  # bodies that began with what is taken just now
        self._piece = _FIRST_PIECE
        self.steps = 0  # what the frames of one piece are worth
        self.requests = self.silent_bytes = self.written_bytes = 0
        self._closes_when_idle = not service.keeps_connections
        self._has_announced = self._is_final = self._is_ended = self._is_over = False
        self._is_taking = self._is_flush_due = False
        self.watch = Http2Watch(self)

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
        self._write_output()
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
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: nobody is left to answer."""
        self._is_over = True
        self.intake.drop()
        self.service.connections.discard(self)
        self._lose_all(ChannelClosed("the client has left"))
        self.service.on_connection_lost(self.place)

    # ---- bytes ----

    def _take(self, data: bytes, at: int) -> int:
        """Give the engine one piece; return where the next one begins."""
        size = len(data)
        if self._is_over or self._is_ended:
            return size
        end = min(at + self._piece, size)
        piece = data if end - at == size else data[at:end]
        self.steps = 0
        self._is_taking = True
        try:
            told = self.engine.receive(piece, self)
        except EngineError as error:
            self.break_off(error.code, error.reason)
            return size
        except Exception:
            self._fail()
            return size
        finally:
            self._is_taking = False
        if self._parts:
            self._feed_gathered()
        self._learn(told, len(piece))
        if self.accounts.overdrawn:
            self.break_off(ENHANCE_YOUR_CALM, f"too many frames of one kind: {self.accounts.overdrawn}")
            return size
        return size if self._is_over else end

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
        self.intake.more_steps = self.steps + told // _CHEAP

    def _paused(self) -> None:
        """All is taken, or the rest waits for its turn: consumers that begin early get what has come."""
        fresh, self._fresh = self._fresh, []
        for body in fresh:
            body.on_paused()
        if not self._is_flush_due:
            self._flush()

    def _flush(self) -> None:
        """Write what the windows and the client allow."""
        self._is_flush_due = False
        schedule = self.schedule
        left = _MOST_PER_FLUSH
        try:
            unwritten = 0
            while schedule and self.can_write and left > 0 and not self._is_over:
                stream_id = schedule.next()
                stream = self.streams.get(stream_id)
                if stream is None:
                    schedule.discard(stream_id)
                    continue
                size = stream.pump(PIECE)
                left -= size or 1
                unwritten += size
                if size:
                    self.accounts.give("window", 2)
                if unwritten >= _MOST_PER_WRITE:
                    unwritten = 0
                    self._write_output()
            self._write_output()
        except Exception:
            self._fail()
        if schedule and self.can_write:
            self.wants_flush()

    def _write_output(self) -> None:
        if self._is_over:
            return
        self.direct_bytes = 0
        data = self.engine.output(self)
        if self.unwanted:  # an engine forgets what was not written of a stream that is reset
            unwanted, self.unwanted = self.unwanted, []
            for stream_id in unwanted:
                self.engine.reset(stream_id, NO_ERROR)
            data += self.engine.output(self)
        if data:
            self.written_bytes += len(data)
            self.service.numbers.sent_bytes += len(data)
            self.transport.write(data)
        if self.accounts.overdrawn and not self._is_over:
            self.break_off(ENHANCE_YOUR_CALM, f"too many frames of one kind: {self.accounts.overdrawn}")

    def wants_flush(self) -> None:
        """Have what waits written at the end of this turn."""
        if not self._is_flush_due and not self._is_over:
            self._is_flush_due = True
            self.service.loop.call_soon(self._flush)

    # ---- told by the engine ----

    def on_request(self, stream_id: int, fields: Pairs, is_ended: bool) -> None:
        """A head is complete."""
        service = self.service
        self.steps += 1
        if self._is_over:
            return
        reader = self._reader
        stream = Stream(self, stream_id, self._early.pop(stream_id, DEFAULT))
        try:
            message = reader.read(fields, is_ended)
        except ClientError as error:
            self._refuse(stream, error, is_ended)
            return
        if reader.priority is not None and stream.priority is DEFAULT:
            stream.priority = read_priority(reader.priority)
        headers = message["headers"]
        if service.is_observed:  # what is reported must not change with what the consumer does to its message
            headers = [*map(list, headers)]
        now = service.clock() if service.is_observed else service.now
        exchange = stream.exchange = Exchange(stream, reader.request_line, headers, True, now)
        if service.attendants is not None:
            service.attendants.begin(exchange, message, reader.is_believed)
        self.streams[stream_id] = stream
        self.requests += 1
        service.requests += 1
        if service.requests >= service.most_requests:
            service.on_most_requests()
        try:
            if reader.protocol:
                if reader.protocol == b"websocket" and not is_ended:
                    begin_tunnel(stream, message, self.client_name)
                else:
                    stream.refuse(ClientError(501, f"unknown protocol {reader.protocol[:40]!r}"))
                return
            application = service.application
            consumer = application.only or application.find("http.request", reader.request_line.path, message)
            if stream.begin(consumer, message, reader.content_length, reader.expects_continue, is_ended):
                assert stream.body is not None or stream.is_over
                if stream.body is not None:
                    self._fresh.append(stream.body)
        except ClientError as error:
            stream.refuse(error)
        except Exception:
            service.log_of(exchange).error("Error in a stream of %s", exchange.shown_line, exc_info=True)
            stream.abort()

    def _refuse(self, stream: Stream, error: ClientError, is_ended: bool) -> None:
        """Answer what is no request that can be served; what is malformed is reset (RFC 9113 section 8.1.1)."""
        self.accounts.take("refused")
        self.service.log.info("%d to %s: %s", error.status, self.client_name, error.reason)
        if error.status == 400:
            self.engine.reset(stream.id, PROTOCOL_ERROR)
            self.wants_flush()
            return
        stream.exchange = Exchange(stream, self._reader.request_line, [], True, self.service.clock())
        stream.is_request_ended = is_ended
        self.streams[stream.id] = stream
        stream.exchange.answer(error.status)

    def on_data(self, stream_id: int, data: bytes, is_ended: bool) -> None:
        """Content has come."""
        if data:
            self.accounts.give("empty", 1)
        elif not is_ended:
            self.accounts.take("empty")
        if self._parts and (self._gathering != stream_id or is_ended):
            self._feed_gathered()
        if not is_ended and self._is_taking:
            self._gathering = stream_id
            self._parts.append(data)
        else:
            self._feed(stream_id, data, is_ended)

    def _feed_gathered(self) -> None:
        """Feed what has come on one stream, one frame behind the other, as one piece."""
        parts, self._parts = self._parts, []
        self._feed(self._gathering, parts[0] if len(parts) == 1 else b"".join(parts), False)

    def _feed(self, stream_id: int, data: bytes, is_ended: bool) -> None:
        stream = self.streams.get(stream_id)
        if stream is None:
            if data:
                self.engine.took(stream_id, len(data))
            return
        try:
            stream.data_came(data, is_ended)
        except Exception:
            self.service.log.error("Error in a stream of %s", self.client_name, exc_info=True)
            stream.abort()

    def on_trailers(self, stream_id: int) -> None:
        """The content has ended with trailers, which are dropped, as over HTTP/1.1."""
        self.on_data(stream_id, b"", True)

    def on_reset(self, stream_id: int, code: int) -> None:
        """The client has reset a stream."""
        stream = self.streams.get(stream_id)
        if stream is None:
            self.accounts.take("resets", _TOO_LATE)
            return
        self.accounts.take("resets")
        stream.client_left()

    def on_broken(self, stream_id: int, code: int) -> None:
        """The engine has reset a stream for a mistake of the client."""
        self.accounts.take("resets")
        stream = self.streams.get(stream_id)
        if stream is not None:
            self.service.log.info(
                "%s was reset for a mistake of the client: error %d", stream.exchange.shown_line, code
            )
            stream.client_left()

    def on_window(self, stream_id: int) -> None:
        """A window has opened."""
        self.accounts.take("window")
        if stream_id > 0:
            stream = self.streams.get(stream_id)
            if stream is not None:
                stream.resume()
        else:
            for stream in self.streams.values():
                stream.resume()
        if self.schedule:
            self.wants_flush()

    def on_priority(self, stream_id: int, value: bytes) -> None:
        """The client says when it wants a response, perhaps before it asks for it."""
        stream = self.streams.get(stream_id)
        priority = read_priority(value)
        if stream is not None:
            stream.priority = priority
            if stream_id in self.schedule:
                self.schedule.discard(stream_id)
                self.schedule.add(stream_id, priority)
        elif len(self._early) < _EARLY:
            self._early[stream_id] = priority

    def on_notice(self, kind: str) -> None:
        """A frame has come that asks for nothing but work."""
        self.accounts.take(kind)

    def on_pong(self) -> None:
        """The client has answered our ping: it has read the first GOAWAY."""
        if self._has_announced:
            self.end_finally()
        else:
            self.accounts.take("ping")

    def on_goaway(self, code: int) -> None:
        """The client opens no further stream."""
        self._closes_when_idle = True
        if code not in (NO_ERROR, 0x100):
            self.service.log.debug("%s has sent GOAWAY with error %d", self.client_name, code)
        self._close_if_idle()

    def on_end(self, code: int, reason: str) -> None:
        """The engine has ended the connection."""
        if self._is_over:
            return
        self._is_ended = True
        if code != NO_ERROR:
            self.service.log.info("Closing the HTTP/2 connection of %s: error %d %s", self.client_name, code, reason)
        self.service.loop.call_soon(self.close)  # behind the last bytes

    # ---- told by streams ----

    def over(self, stream: Stream) -> None:
        """A stream has come to its end."""
        if self.streams.get(stream.id) is stream:
            del self.streams[stream.id]
        if self.schedule:
            self.schedule.discard(stream.id)
        if self._closes_when_idle:
            self._close_if_idle()

    def answered(self) -> None:
        """A response is complete."""
        self.accounts.answered()

    def take_no_more(self) -> None:
        """A response says `connection: close`: the connection comes to its end."""
        self.begin_ending()

    @property
    def client_name(self) -> str:
        """The client's address for the log."""
        client = self.addresses()[0]
        return client[0] if client else "unix socket"

    def addresses(self) -> tuple[list[Any] | None, list[Any] | None]:
        """Return the client's and our address, as the messages of this connection have them."""
        return self._reader.base["client"], self._reader.base["server"]

    # ---- the end ----

    def begin_ending(self) -> None:
        """Tell the client to go elsewhere; what it has sent meanwhile is answered."""
        if self.is_ending or self._is_over:
            return
        self.is_ending = self._has_announced = True
        self.engine.announce_end()
        self.engine.ping()
        self.watch.announced()
        self.wants_flush()

    def end_finally(self) -> None:
        """Refuse what begins from here on; close when the last stream is over."""
        if not self._is_final and not self._is_over:
            self._is_final = self._closes_when_idle = True
            self.engine.end()
            self._close_if_idle()
            self.wants_flush()

    def _close_if_idle(self) -> None:
        if self._closes_when_idle and not self.streams and not self._is_over and not self._is_taking:
            self.service.loop.call_soon(self._close_idle)

    def _close_idle(self) -> None:
        if not self.streams and not self._is_over:
            if not self._is_final:
                self._is_final = True
                self.engine.end()
            self._flush()
            self.close()

    def close(self) -> None:
        """Close when everything is written; read on for a while, since closing with unread bytes is a reset."""
        if self._is_over or self.transport.is_closing():
            return
        self._is_over = True
        self._lose_all(ChannelClosed("the connection is closed"))
        self.intake.drop()
        self.intake.release(PIPELINE)
        self.watch.linger()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def break_off(self, code: int, reason: str) -> None:
        """Close, because the client has broken the protocol or a limit."""
        if self._is_over:
            return
        self.service.log.info("Closing the HTTP/2 connection of %s: %s", self.client_name, reason)
        data = self.engine.farewell(code, reason.encode("ascii", "replace")[:80])
        if data:
            self.transport.write(data)
        self.close()

    def _fail(self) -> None:
        """End the connection, and no other, for a mistake of ours."""
        self.service.log.error("Error in the connection of %s", self.address or "unix socket", exc_info=True)
        self._is_over = True
        self.transport.abort()

    def _lose_all(self, error: Exception, is_stopping: bool = False) -> None:
        for stream in tuple(self.streams.values()):
            stream.client_left(error, is_stopping)

    def standing(self, now: float) -> Standing:
        """Return what the connection is doing, for who has to choose among all of them."""
        if self._is_over:
            return Standing(CLOSING, self.watch.lingering_seconds(now))
        if self.streams:
            return Standing(WAITING)
        return Standing(IDLE if self.requests else NEW, self.watch.idle_seconds(now))

    def make_way(self, state: str) -> None:
        """Close, so that others have the place at once."""
        if state in (IDLE, NEW):
            data = self.engine.farewell(NO_ERROR, b"")
            self.transport.write(data)
            if self.transport.can_write_eof():
                self.transport.close()
                return
        self.cut()

    def in_flight(self) -> tuple[Exchange, ...]:
        """Return the exchanges that are not answered."""
        return tuple(stream.exchange for stream in self.streams.values() if not stream.exchange.is_closed)

    def cut(self) -> None:
        """Close at once, whatever is on its way."""
        self.transport.abort()

    def abort(self) -> None:
        """Close at once, because the worker stops, and say so to whoever waits for this connection."""
        self._lose_all(ServerStopping("the worker is stopping"), is_stopping=True)
        self._is_over = True
        self.transport.abort()
