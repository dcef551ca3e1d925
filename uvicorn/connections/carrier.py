"""What an exchange asks of whatever carries its response: the only seam between the two.

`Pipeline` is the one for HTTP/1: many exchanges take turns on one connection. An exchange does not know which version
of HTTP it is. Loop thread only. (`exchange` is an `Exchange` everywhere: that module imports this one.)
"""

from __future__ import annotations

from typing import Any

from uvicorn.connections.flow import WriteGate
from uvicorn.connections.service import Service

__all__ = ["Carrier"]


class Carrier:
    """What carries the responses of exchanges to one client.

    Attributes:
        service: what all connections of the worker share.
        gate: whether the client has caught up with what was written.
    """

    __slots__ = ("gate", "service")

    def __init__(self, service: Service) -> None:
        self.service = service
        self.gate = WriteGate()

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
