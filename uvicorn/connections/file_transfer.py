"""A file on its way into a plain socket, copied by the system (`sendfile`). Loop thread only.

The transport knows nothing of it. So it is done only while the transport has nothing to write itself, and all that the
transport would do is done here: a turn has a bound, a client that is behind is waited for, and what waits is shown to
the watch (`Pipeline.unsent_bytes`).

A socket is waited for by a descriptor of its own: loops let nobody watch that of a transport. It is made when a client
is first behind, and closed with the transfer; until then the connection lives, whatever the transport does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, Final

from uvicorn.bridge.files import FilePart, has_room

__all__ = ["WINDOW", "Transfer", "may_transfer"]

WINDOW: Final = 2097152  # bytes at once, as nginx has it: fills a socket's buffer at one wake-up


def may_transfer(carrier: Any) -> bool:
    """Whether files can go to this client without a copy: no frames, no TLS, and a system that does it."""
    if carrier.frames_content or not carrier.service.limits.sendfile or sys.platform != "linux":
        return False
    transport = carrier.transport
    if transport.get_extra_info("sslcontext") is not None or transport.get_extra_info("ssl_object") is not None:
        return False
    sock = transport.get_extra_info("socket")
    return sock is not None and sock.fileno() >= 0


class Transfer:
    """What sends files to one client.

    Args:
        pipeline: what carries the response.

    Attributes:
        is_full: the last `send` has filled the buffers of the system.
        is_watching: the loop calls back whenever the socket takes more.
    """

    __slots__ = ("_descriptor", "_is_limited", "_pipeline", "_twin", "is_full", "is_watching")

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._descriptor: int = pipeline.transport.get_extra_info("socket").fileno()  # its own until it closes
        self._twin = -1  # another descriptor of the socket
        self.is_watching = False
        self._is_limited = False  # the transport tells when it is empty, and not earlier
        self.is_full = False

    def is_clear(self) -> bool:
        """Whether the transport has nothing to write; if not, the gate opens as soon as that is so, or all is over."""
        transport = self._pipeline.transport
        if transport.is_closing():  # its descriptor may soon be that of another one
            return False
        if not transport.get_write_buffer_size():
            self._unlimit()
            return True
        self._is_limited = True
        transport.set_write_buffer_limits(0)  # calls `pause_writing`
        return False

    def send(self, part: FilePart, most: int) -> int:
        """Send the next bytes of a file, or less of them if that fills the buffers.

        Returns: how many bytes; -1 if it cannot be done.
        Raises: FileShrank.
        """
        pipeline = self._pipeline
        most = min(most, part.left)
        try:
            sent = os.sendfile(self._descriptor, part.descriptor, part.at, most)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            return -1
        else:
            if not sent:
                raise part.shrank()
        part.take(sent)
        pipeline.written_bytes += sent
        pipeline.service.numbers.sent_bytes += sent
        self.is_full = sent < most
        pipeline.unsent_bytes = 1 if self.is_full else 0
        return sent

    def wait(self, callback: Callable[[], None]) -> bool:
        """Call back when the socket takes more, and again until `rest`.

        Returns: False if no descriptor is left for that, or few are.
        """
        if not self.is_watching:
            if self._twin < 0:
                try:
                    self._twin = os.dup(self._descriptor)
                except OSError:
                    return False
                if not has_room(self._twin):
                    self.close()
                    return False
            self.is_watching = True
            self._pipeline.service.loop.add_writer(self._twin, callback)
        return True

    def rest(self) -> None:
        """Wait for the client no longer."""
        self._pipeline.unsent_bytes = 0
        if self.is_watching:
            self.is_watching = False
            self._pipeline.service.loop.remove_writer(self._twin)

    def close(self) -> None:
        """Send no more."""
        self.rest()
        self._unlimit()
        twin, self._twin = self._twin, -1
        if twin >= 0:
            os.close(twin)

    def _unlimit(self) -> None:
        if self._is_limited:
            self._is_limited = False
            pipeline = self._pipeline
            if not pipeline.transport.is_closing():
                pipeline.transport.set_write_buffer_limits(pipeline.service.limits.write_buffer)
