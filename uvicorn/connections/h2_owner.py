"""What the streams of an HTTP/2 connection need of it, and what they tell whoever they carry. Loop thread only.

The connection knows its streams, and they know this much of it: so no import leads back.
"""

from __future__ import annotations

from typing import Any, Protocol

from uvicorn.connections.h2_schedule import Schedule
from uvicorn.connections.service import Service
from uvicorn.wire.h2_engine import Engine
from uvicorn.wire.h2_head_writer import HeadWriter

__all__ = ["StreamOwner", "Tunnelled"]


class StreamOwner:
    """What a stream needs of its connection. A base class and no Protocol, so that compiled calls can be typed.

    Attributes:
        can_write: the client takes what is written.
        direct_bytes: content that the engine was given out of turn, and that is not written yet.
        direct_pieces: how many pieces of the usual size that is.
        is_ending: GOAWAY was sent.
        is_taking: the engine just takes what has come, in which there may be more requests.
        queued_bytes: content that waits in all streams together.
        streams: those that are not over: number -> stream.
        wide_streams: how many have a window that was made larger.
        unwanted: streams that are reset behind what was sent on them: their requests need not be complete.
    """

    __slots__ = (
        "can_write", "direct_bytes", "direct_pieces", "engine", "is_ending", "is_taking", "queued_bytes", "schedule",
        "service", "streams", "unwanted", "wide_streams", "writer",
    )  # fmt: skip

    def __init__(self, service: Service, engine: Engine, writer: HeadWriter) -> None:
        self.service = service
        self.engine = engine
        self.writer = writer
        self.schedule = Schedule()
        self.streams: dict[int, Any] = {}
        self.can_write = True
        self.is_ending = self.is_taking = False
        self.direct_bytes = self.direct_pieces = self.queued_bytes = self.wide_streams = 0
        self.unwanted: list[int] = []

    def wants_flush(self) -> None:
        """Have what waits written soon."""
        raise NotImplementedError

    def over(self, stream: Any) -> None:
        """A stream has come to its end."""
        raise NotImplementedError

    def answered(self) -> None:
        """A response is complete."""
        raise NotImplementedError

    def take_no_more(self) -> None:
        """A response says that it is the last one."""
        raise NotImplementedError

    def addresses(self) -> tuple[list[Any] | None, list[Any] | None]:
        """Return the client's and our address, as the messages have them."""
        raise NotImplementedError


class Tunnelled(Protocol):
    """What a stream carries that is no HTTP: a socket."""

    def data_came(self, data: bytes) -> None:
        """The client has sent something."""

    def eof_came(self) -> None:
        """The client sends nothing more."""

    def drained(self) -> None:
        """The client has taken something."""

    def ended(self) -> None:
        """All was sent, and the stream is closed on our side."""

    def lost(self) -> None:
        """The stream is gone."""
