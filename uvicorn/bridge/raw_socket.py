"""The application's end of a raw socket: what a WSGI application finds as `werkzeug.socket`.

Theory of operation
-------------------
It is one end of a pair of Unix sockets; the loop has the other one, and carries bytes between it and the client
(`connections/raw_socket.py`). So it is a real socket, which can be selected, also where the client speaks TLS, and the
kernel's buffers bound what waits in it: a thread that writes more than the client takes blocks.

*Is it taken?* Nothing tells that an application means to use it but that it writes. The loop sets `is_read` and then
reads; a thread whose application has returned looks first for what is unread, with a descriptor of its own, and then at
`is_read`. One of both is there if anything was written.

*What it costs.* Its thread waits for the client, most of the time and for as long as that is there. So the governor
does not count it as computing, and does not learn from it what the pages of the same application cost; nor is the time
that a client stays added up with that of the pages.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Final

from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.governor import Load
from uvicorn.bridge.tally import Tally

__all__ = ["ThreadEnd", "waiting_consumer"]

_WAITING: Final = Load(can_learn=False)
_WAITING.is_light = True


def waiting_consumer(consumer: Consumer) -> Consumer:
    """Return a consumer for raw sockets: of its calls neither the governor nor the numbers of pages take notice."""
    return consumer.replaced(load=_WAITING, tally=Tally())


class ThreadEnd:
    """The application's end.

    Args:
        sock: what the application gets; blocking.
        other: the loop's end, of which a descriptor of our own is made.

    Raises: OSError if there are too many.

    Attributes:
        is_read: the loop has read something. Written by the loop.
    """

    def __init__(self, sock: socket.socket, other: socket.socket) -> None:
        self._other = other.dup()
        self.sock = sock
        self.is_read = False

    def is_taken(self) -> bool:
        """Whether the application has written to it. Runs on: the application's thread."""
        try:
            is_unread = bool(self._other.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except OSError:  # nothing is unread, or the client is gone
            is_unread = False
        return is_unread or self.is_read

    def close(self) -> None:
        """Have the loop read the end; other threads of the application, too, which may hold the socket still."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        self._other.close()

    def __del__(self) -> None:
        """Close it if the application was never called."""
        if hasattr(self, "is_read"):  # it was made
            self.close()
