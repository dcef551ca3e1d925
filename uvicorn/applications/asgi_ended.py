"""What an ASGI call has in place of a reply channel when nothing that it sends goes anywhere."""

from __future__ import annotations

from typing import Any, Final

from uvicorn.bridge.file_replies import drop_opened
from uvicorn.errors import ChannelClosed

__all__ = ["LEFT", "NOWHERE"]


class _Nowhere:
    """The reply channel of an application that was answered for."""

    is_head = False
    is_writable = True
    is_complete = True
    takes_any = False
    closed = True

    def send(self, reply: Any) -> None:
        """Drop a reply."""
        drop_opened(reply)

    def hint(self, _: Any) -> None:
        """Drop a hint."""

    async def caught_up(self) -> None:
        """Return at once."""


class _Left(_Nowhere):
    """The reply channel of an application that has returned."""

    def send(self, reply: Any) -> None:
        """Refuse a reply. Raises: ChannelClosed, always."""
        drop_opened(reply)
        raise ChannelClosed("the application has returned")

    def hint(self, _: Any) -> None:
        """Refuse a hint. Raises: ChannelClosed, always."""
        self.send({})


NOWHERE: Final[Any] = _Nowhere()
LEFT: Final[Any] = _Left()
