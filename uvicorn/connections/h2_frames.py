"""What the frames of an HTTP/2 client ask for: requests begin, content reaches its stream. Loop thread only.

An engine (`wire/h2_engine.py`) tells of them while it takes one piece of what has come. Content of one stream that
comes in several frames is fed as one piece. What asks for work and brings nothing is counted (`h2_limits.py`).
"""

from __future__ import annotations

from typing import Final

from uvicorn.connections.body import RequestBody
from uvicorn.connections.exchange import Exchange
from uvicorn.connections.h2_ending import EndingConnection
from uvicorn.connections.h2_stream import Stream
from uvicorn.connections.h2_tunnel import begin_tunnel
from uvicorn.errors import ClientError
from uvicorn.wire.h2_engine import NO_ERROR, PROTOCOL_ERROR, Pairs
from uvicorn.wire.h2_head import HeadReader
from uvicorn.wire.priority import DEFAULT, Priority, read_priority

__all__ = ["Frames"]

_TOO_LATE: Final = 0.25  # resets that one counts as which comes behind the answer; they cross on their way
_EARLY: Final = 100  # PRIORITY_UPDATEs that are kept for streams to come; arbitrary


class Frames:
    """What is told of the frames of one connection.

    Attributes:
        fresh: bodies that began with what is taken just now.
        steps: what the requests are worth that were told of; the connection sets it back.
    """

    __slots__ = ("_connection", "_early", "_gathering", "_newest", "_parts", "_reader", "fresh", "steps")

    def __init__(self, connection: EndingConnection) -> None:
        self._connection = connection
        self._reader: HeadReader | None = None  # made for the first request
        self._early: dict[int, Priority] | None = None  # made for the first one, as few clients send any
        self._newest = 0  # stream
        self._gathering = 0  # a stream
        self._parts: list[bytes] = []  # what has come on it with the piece that the engine takes just now
        self.fresh: list[RequestBody] = []
        self.steps = 0

    def on_request(self, stream_id: int, fields: Pairs, is_ended: bool) -> None:
        """A head is complete."""
        connection = self._connection
        service = connection.service
        self.steps += 1
        self._newest = stream_id
        if connection.is_over:
            return
        reader = self._reader
        if reader is None:
            reader = self._reader = self._make_reader()
        stream = Stream.__new__(Stream)
        stream.set_up(connection, stream_id, self._early.pop(stream_id, DEFAULT) if self._early else DEFAULT)
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
        exchange = stream.exchange = Exchange.__new__(Exchange)
        exchange.begin(stream, reader.request_line, headers, True, now)
        if service.attendants is not None:
            service.attendants.begin(exchange, message, reader.is_believed)
        connection.streams[stream_id] = stream
        connection.requests += 1
        service.requests += 1
        if service.requests >= service.most_requests:
            service.on_most_requests()
        try:
            if reader.protocol:
                if reader.protocol == b"websocket" and not is_ended:
                    begin_tunnel(stream, message, connection.client_name)
                else:
                    stream.refuse(ClientError(501, f"unknown protocol {reader.protocol[:40]!r}"))
                return
            application = service.application
            consumer = application.only or application.find("http.request", reader.request_line.path, message)
            if stream.begin(consumer, message, reader.content_length, reader.expects_continue, is_ended):
                assert stream.body is not None or stream.is_over
                if stream.body is not None:
                    self.fresh.append(stream.body)
        except ClientError as error:
            stream.refuse(error)
        except Exception:
            service.log_of(exchange).error("Error in a stream of %s", exchange.shown_line, exc_info=True)
            stream.abort()

    def _make_reader(self) -> HeadReader:
        connection = self._connection
        service = connection.service
        return HeadReader(service.base_message(*connection.addresses()), connection.header_policy(), service.limits)

    def _refuse(self, stream: Stream, error: ClientError, is_ended: bool) -> None:
        """Answer what is no request that can be served; what is malformed is reset (RFC 9113 section 8.1.1)."""
        connection = self._connection
        connection.accounts.take("refused")
        connection.service.log.info("%d to %s: %s", error.status, connection.client_name, error.reason)
        if error.status == 400:
            connection.engine.reset(stream.id, PROTOCOL_ERROR)
            connection.wants_flush()
            return
        assert self._reader is not None
        stream.exchange = Exchange(stream, self._reader.request_line, [], True, connection.service.clock())
        stream.is_request_ended = is_ended
        connection.streams[stream.id] = stream
        stream.exchange.answer(error.status)

    def on_data(self, stream_id: int, data: bytes, is_ended: bool) -> None:
        """Content has come."""
        if data:
            self._connection.accounts.give("empty", 1)
        elif not is_ended:
            self._connection.accounts.take("empty")
        if self._parts and (self._gathering != stream_id or is_ended):
            self.feed_gathered()
        if not is_ended and self._connection.is_taking:
            self._gathering = stream_id
            self._parts.append(data)
        else:
            self._feed(stream_id, data, is_ended)

    def feed_gathered(self) -> None:
        """Feed what has come on one stream, one frame behind the other, as one piece."""
        parts = self._parts
        if parts:
            self._parts = []
            self._feed(self._gathering, parts[0] if len(parts) == 1 else b"".join(parts), False)

    def _feed(self, stream_id: int, data: bytes, is_ended: bool) -> None:
        connection = self._connection
        stream = connection.streams.get(stream_id)
        if stream is None:
            if data:
                connection.engine.took(stream_id, len(data))
            return
        try:
            stream.data_came(data, is_ended)
        except Exception:
            connection.service.log.error("Error in a stream of %s", connection.client_name, exc_info=True)
            stream.abort()

    def on_trailers(self, stream_id: int) -> None:
        """The content has ended with trailers, which are dropped, as over HTTP/1.1."""
        self.feed_gathered()
        connection = self._connection
        stream = connection.streams.get(stream_id)
        if stream is not None and stream.body is not None and stream.body.left:
            # Content-Length is not true (RFC 9113 section 8.1.1). The engine h2 looks at it where DATA ends a stream.
            connection.engine.reset(stream_id, PROTOCOL_ERROR)
            connection.wants_flush()
            self.on_broken(stream_id, PROTOCOL_ERROR)
            return
        self.on_data(stream_id, b"", True)

    def on_reset(self, stream_id: int, code: int) -> None:
        """The client has reset a stream."""
        connection = self._connection
        stream = connection.streams.get(stream_id)
        if stream is None:
            connection.accounts.take("resets", _TOO_LATE)
            return
        connection.accounts.take("resets")
        stream.client_left()

    def on_broken(self, stream_id: int, code: int) -> None:
        """The engine has reset a stream for a mistake of the client."""
        connection = self._connection
        connection.accounts.take("resets")
        stream = connection.streams.get(stream_id)
        if stream is not None:
            connection.service.log.info(
                "%s was reset for a mistake of the client: error %d", stream.exchange.shown_line, code
            )
            stream.client_left()

    def on_window(self, stream_id: int) -> None:
        """A window has opened."""
        connection = self._connection
        connection.accounts.take("window")
        if stream_id > 0:
            stream = connection.streams.get(stream_id)
            if stream is not None:
                stream.resume()
        else:
            for stream in connection.streams.values():
                stream.resume()
        if connection.schedule:
            connection.wants_flush()

    def on_priority(self, stream_id: int, value: bytes) -> None:
        """The client says when it wants a response, perhaps before it asks for it."""
        connection = self._connection
        stream = connection.streams.get(stream_id)
        priority = read_priority(value)
        if stream is not None:
            stream.priority = priority
            if stream_id in connection.schedule:
                connection.schedule.discard(stream_id)
                connection.schedule.add(stream_id, priority)
        elif stream_id <= self._newest:  # that one is answered
            return
        elif self._early is None:
            self._early = {stream_id: priority}
        elif len(self._early) < _EARLY:
            self._early[stream_id] = priority

    def on_notice(self, kind: str) -> None:
        """A frame has come that asks for nothing but work."""
        self._connection.accounts.take(kind)

    def on_pong(self) -> None:
        """The client has answered our ping: it has read the first GOAWAY."""
        connection = self._connection
        if connection.has_announced:
            connection.end_finally()
        else:
            connection.accounts.take("ping")

    def on_goaway(self, code: int) -> None:
        """The client opens no further stream."""
        connection = self._connection
        if code not in (NO_ERROR, 0x100):
            connection.service.log.debug("%s has sent GOAWAY with error %d", connection.client_name, code)
        connection.end_with_last()

    def on_end(self, code: int, reason: str) -> None:
        """The engine has ended the connection."""
        self._connection.on_engine_ended(code, reason)
