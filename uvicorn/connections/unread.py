"""Whether a client has sent what the loop has not read yet: asked before its connection is closed for its silence."""

from __future__ import annotations

import select
from typing import Any

__all__ = ["has_sent"]


def has_sent(connection: Any) -> bool:
    """Whether bytes of a client wait in the system: to close now would reset its connection."""
    transport = getattr(connection, "transport", None)
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is None or sock.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return any(events & select.POLLIN and not events & select.POLLHUP for _, events in poll.poll(0))
