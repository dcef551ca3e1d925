"""Ports for programs that cannot be told to take any: the kernel chooses them, and gives them to nobody else."""

import errno
import os
import socket

__all__ = ["free_port"]

_TRIES = 1000


def free_port(distance=0):
    """Return a port that belongs to these tests until their process ends, on 127.0.0.1.

    A socket holds it that is bound and does not listen, so that no other test, and no connection, is given it before
    the program is there, or while it is started again. A program listens there all the same if it sets SO_REUSEADDR,
    as servers do.

    Args:
        distance: hold the port that is so much higher, too: a node of a cluster has its bus there.
    """
    for _ in range(_TRIES):
        held = [_hold(0)]
        port = _port_of(held[0])
        if not distance:
            return port
        if port + distance < 1 << 16:
            held.append(_hold(port + distance))
            if held[-1]:
                return port
        for number in filter(None, held):
            os.close(number)
    raise AssertionError("no port is free")


def _hold(port):
    """Return a descriptor that stays open, of a socket with this port; 0 if another one has it."""
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return 0
        return made.detach()


def _port_of(number):
    with socket.socket(fileno=os.dup(number)) as found:
        return found.getsockname()[1]
