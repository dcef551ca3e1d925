"""What a client has taken, asked of the system at a real socket."""

from __future__ import annotations

import socket
import sys
from types import SimpleNamespace

import pytest
from patience import until

from uvicorn.connections.pace import drop, taken_bytes

linux = pytest.mark.skipif(sys.platform != "linux", reason="TCP_INFO is as Linux has it")


class Ends:
    """Two ends of a TCP connection; ours is behind what a connection looks like."""

    def __init__(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.theirs = socket.create_connection(listener.getsockname())
            self.ours, _ = listener.accept()
        self.ours.setblocking(False)
        self.written = 0
        transport = SimpleNamespace(get_extra_info=lambda name: self.ours)
        pipeline = SimpleNamespace(written_bytes=0, buffered_bytes=lambda: 0, abort=self.ours.close)
        self.connection = SimpleNamespace(transport=transport, pipeline=pipeline)

    def fill(self):
        """Write until the system takes no more."""
        try:
            while True:
                self.written += self.ours.send(b"x" * 65536)
        except BlockingIOError:
            pass

    def close(self):
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def ends():
    made = Ends()
    yield made
    made.close()


@linux
def test_what_the_system_keeps_for_a_client_is_not_taken_by_it(ends):
    ends.fill()
    kept = ends.written - taken_bytes(ends.connection)
    assert kept > 0
    left = ends.written
    while left:
        left -= len(ends.theirs.recv(min(left, 1 << 20)))
    until(lambda: taken_bytes(ends.connection) >= ends.written, "the last acknowledgement")
    assert taken_bytes(ends.connection) == ends.written


@linux
def test_a_client_that_is_dropped_is_reset_and_leaves_nothing_in_the_system(ends):
    ends.fill()
    drop(ends.connection)
    with pytest.raises(ConnectionResetError):
        [ends.theirs.recv(1 << 20) for _ in range(1000)]


def test_a_client_that_has_gone_meanwhile_can_be_dropped(ends):
    ends.ours.close()
    drop(ends.connection)
