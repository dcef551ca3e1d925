"""A program's way to the processes of a local layer: a connection to one of them, which does what is asked for.

A connection for each request: programs send seldom, and so need no lock between their threads.
"""

from __future__ import annotations

import socket
import struct
from typing import Any, Final

from uvicorn.errors import ChannelLayerUnavailable
from uvicorn.layers.asking import error_from
from uvicorn.layers.encoding import unpack
from uvicorn.layers.local_links import frame
from uvicorn.layers.local_place import Place, is_ours

__all__ = ["LocalCarrier"]

_SECONDS: Final = 10.0  # that a worker may take, which may wait for others for 5 seconds
_HEAD: Final = struct.Struct("!I")


class LocalCarrier:
    """What carries the requests of a program to a worker of this machine.

    Args:
        path: the directory of the layer.
    """

    def __init__(self, path: str) -> None:
        self._place = Place(path)

    def carry(self, kind: str, name: str, content: Any, delay: float) -> None:
        """Have a worker do it, and wait for its answer."""
        data = frame("program") + frame(kind, name, content, delay, 1)
        try:
            self._place.check()
        except OSError as error:
            raise ChannelLayerUnavailable(f"no server uses local://{self._place.path}: {error}") from None
        for _, path in self._place.others():
            try:
                connection = _connected(path)
            except OSError:
                continue  # killed
            with connection:
                try:
                    connection.sendall(data)
                    answer = unpack(_exactly(connection, _HEAD.unpack(_exactly(connection, _HEAD.size))[0]))
                except OSError as error:
                    raise ChannelLayerUnavailable(f"a worker does not answer: {error}", was_sent=True) from None
            if answer[2] is not None:
                raise error_from(answer[2])
            return
        raise ChannelLayerUnavailable(f"no server uses local://{self._place.path}")


def _connected(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_SECONDS)
        connection.connect(path)
        if not is_ours(connection):
            raise ConnectionRefusedError("a process of another user")
    except BaseException:
        connection.close()
        raise
    return connection


def _exactly(connection: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        data = connection.recv(min(size, 65536))
        if not data:
            raise ConnectionError("it has left")
        parts.append(data)
        size -= len(data)
    return b"".join(parts)
