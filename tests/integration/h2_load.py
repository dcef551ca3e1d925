"""A client of HTTP/2 that keeps requests in flight over restarts of the server, and counts what was lost.

What GOAWAY says was not begun is asked for again on another connection, and is no loss (RFC 9113 section 6.8).
"""

import contextlib
import socket

import ngh2
from ngh2 import events
from patience import PATIENCE_SECONDS as PATIENCE
from processes import socket_to

FIELDS = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"test")]
IN_FLIGHT = 20


class Load:
    """Requests for one path, some at a time, until it is told to stop. Runs in a thread.

    Attributes:
        done: how many were answered with 200.
        lost: what was not, in words.
        connections: how many were made.
    """

    def __init__(self, address, path):
        self._address = address
        self._fields = [*FIELDS, (b":path", path.encode())]
        self.done = self.connections = 0
        self.lost = []
        self.is_stopping = False

    def run(self):
        while not self.is_stopping:
            with socket_to(self._address) as plain:
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                plain.settimeout(PATIENCE)
                self.connections += 1
                self._use(plain)

    def _use(self, plain):
        connection = ngh2.Connection(ngh2.Role.CLIENT)
        connection.initiate_connection()
        open_streams = set()
        is_ending = False
        while True:
            while not (is_ending or self.is_stopping) and len(open_streams) < IN_FLIGHT:
                open_streams.add(connection.send_request(self._fields, end_stream=True))
            data = connection.data_to_send()
            if data:
                # Where the server has closed after its GOAWAY that is read first, with what it has answered.
                with contextlib.suppress(ConnectionError):
                    plain.sendall(data)
            if not open_streams:
                return
            try:
                received = plain.recv(65536)
            except ConnectionError as error:
                received = b""
                self.lost.append(repr(error))
            if not received:
                self.lost += [f"stream {stream}: the connection was closed" for stream in open_streams]
                return
            connection.receive_data(received)
            for event in connection.events():
                if isinstance(event, events.ResponseReceived):
                    if event.headers[0] == (b":status", b"200"):
                        self.done += 1
                    else:
                        self.lost.append(repr(event.headers))
                elif isinstance(event, events.StreamReset):
                    self.lost.append(f"stream {event.stream_id}: reset with {event.error_code}")
                elif isinstance(event, events.StreamClosed):
                    open_streams.discard(event.stream_id)
                elif isinstance(event, events.GoAwayReceived):
                    is_ending = True
                    open_streams = {stream for stream in open_streams if stream <= event.last_stream_id}
