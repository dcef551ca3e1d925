"""What an exchange asks of whatever carries its response: the only seam between the two.

`Pipeline` is the one for HTTP/1: many exchanges take turns on one connection. `Stream` is the one for HTTP/2: one for
each exchange, which frames what it is given. An exchange does not know which version of HTTP it is. Loop thread only.
(`exchange` is an `Exchange` everywhere: that module imports this one.)
"""

from __future__ import annotations

from typing import Any

from uvicorn.connections.flow import WriteGate
from uvicorn.connections.service import Service
from uvicorn.wire.reply import Fields

__all__ = ["Carrier"]


class Carrier:
    """What carries the responses of exchanges to one client.

    Attributes:
        service: what all connections of the worker share.
        gate: whether the client has caught up with what was written.
        frames_content: takes responses in their parts (`send`), and not as bytes.
    """

    __slots__ = ("frames_content", "gate", "service")

    def __init__(self, service: Service) -> None:
        self.service = service
        self.gate = WriteGate()
        self.frames_content = False

    def is_lost(self) -> bool:
        """Whether nobody is left to answer."""
        raise NotImplementedError

    def is_plain(self) -> bool:
        """Whether a complete response may be written at once and says nothing of the connection: most often."""
        raise NotImplementedError

    def is_first(self, exchange: Any) -> bool:
        """Whether it is this exchange's turn to write."""
        raise NotImplementedError

    def may_persist(self, exchange: Any) -> bool:
        """Whether another request of this connection will be answered."""
        raise NotImplementedError

    def may_skip_body(self, exchange: Any) -> bool:
        """Whether the connection can be kept though this response is complete before its request."""
        raise NotImplementedError

    def take_no_more(self) -> None:
        """Read no further request: a response says that it is the last one."""
        raise NotImplementedError

    def send(self, exchange: Any, status: int, fields: Fields, content: bytes, more: bool) -> None:
        """Send a part of a response, if `frames_content`.

        Args:
            status: 0 if the response has begun.
            fields: also the trailers, with the last part.
        """
        raise NotImplementedError

    def hint(self, fields: Fields) -> None:
        """Send 103 Early Hints."""
        raise NotImplementedError

    def accept_socket(self, fields: Fields) -> None:
        """Write the answer that accepts a WebSocket."""
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        """Write to the client."""
        raise NotImplementedError

    def write_all(self, parts: tuple[bytes, ...]) -> None:
        """Write these to the client together."""
        raise NotImplementedError

    def buffered_bytes(self) -> int:
        """How many bytes wait for the client."""
        raise NotImplementedError

    def addresses(self) -> tuple[list[Any] | None, list[Any] | None]:
        """Return the client's and our address, as the messages have them."""
        raise NotImplementedError

    def finish(self, exchange: Any, response: bytes) -> bool:
        """Write a whole response of the first exchange, after which the connection is kept.

        Returns: whether the client has caught up.
        """
        raise NotImplementedError

    def on_response_ended(self, exchange: Any) -> None:
        """A response is complete, or lost."""
        raise NotImplementedError

    def abort(self) -> None:
        """Close at once, whatever is on its way."""
        raise NotImplementedError
