"""What a client of HTTP/2 sends on the hot paths (`paths.py`): frames that are made before a walk, by ngh2.

Each list is of pieces that come one by one. They are of one connection, since heads are compressed by those before
them: whoever is given them must take all, in this order.
"""

from __future__ import annotations

from collections.abc import Iterable

import ngh2

__all__ = ["GROUP", "READ_FRAMES", "download", "requests", "upload"]

GROUP = 10  # requests that come together, as those of a client with many streams do
READ_FRAMES = 15  # of an upload, in one piece: as many as uvloop reads at once
_LARGEST_WINDOW = 2**31 - 1
_FRAME = 16384
_DATA = bytes(_FRAME)
_ACKNOWLEDGEMENT = bytes.fromhex("000000040100000000")  # of the server's SETTINGS: its window holds from then on


def requests(heads: Iterable[bytes]) -> list[bytes]:
    """Return HTTP/1.1 heads as requests of HTTP/2, `GROUP` in each piece."""
    client = _client()
    pieces: list[bytes] = []
    for number, head in enumerate(heads, start=1):
        client.send_request(_fields(head), end_stream=True)
        if not number % GROUP:
            pieces.append(client.data_to_send())
    return pieces


def download(head: bytes) -> list[bytes]:
    """Return one request of a client that takes everything."""
    client = _client()
    client.set_local_window_size(_LARGEST_WINDOW)
    client.send_request(_fields(head), end_stream=True)
    return [client.data_to_send()]


def upload(head: bytes) -> list[bytes]:
    """Return one request, and a piece of its content that can be sent again and again."""
    client = _client()
    stream_id = client.send_request(_fields(head))
    frame = _FRAME.to_bytes(3, "big") + bytes(2) + stream_id.to_bytes(4, "big") + _DATA
    return [client.data_to_send(), _ACKNOWLEDGEMENT, frame * READ_FRAMES]


def _client() -> ngh2.Connection:
    unlimited = ngh2.Configuration(peer_max_concurrent_streams=_LARGEST_WINDOW)  # it never sees that a stream has ended
    client = ngh2.Connection(ngh2.Role.CLIENT, unlimited)
    client.initiate_connection({4: _LARGEST_WINDOW})  # SETTINGS_INITIAL_WINDOW_SIZE
    return client


def _fields(head: bytes) -> list[tuple[bytes, bytes]]:
    lines = head.split(b"\r\n\r\n")[0].split(b"\r\n")
    method, target, _ = lines[0].split(b" ")
    fields = [(b":method", method), (b":scheme", b"http"), (b":path", target)]
    for line in lines[1:]:
        name, _, value = line.partition(b": ")
        if name.lower() == b"host":
            fields.insert(1, (b":authority", value))
        elif name.lower() != b"connection":
            fields.append((name.lower(), value))
    return fields
