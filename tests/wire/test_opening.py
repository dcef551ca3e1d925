"""From the header fields of a handshake to a codec, or to the answer that refuses it (RFC 6455 section 4.2)."""

from __future__ import annotations

import pytest

from uvicorn.wire.frames import SocketCodec
from uvicorn.wire.limits import SocketLimits
from uvicorn.wire.opening import Refusal, open_codec

KEY = [b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="]  # of RFC 6455 section 1.3
VERSION = [b"sec-websocket-version", b"13"]
UPGRADE = [[b"upgrade", b"websocket"], [b"connection", b"keep-alive, Upgrade"]]
VALID = [*UPGRADE, KEY, VERSION]


def opened(*fields, **limits):
    return open_codec(list(fields), SocketLimits(**limits))


@pytest.mark.parametrize(
    ("fields", "limits", "more", "offered"),
    [
        ([], {}, b"", []),
        ([[b"sec-websocket-protocol", b"a, b"], [b"sec-websocket-protocol", b"c"]], {}, b"", ["a", "b", "c"]),
        ([[b"sec-websocket-extensions", b"permessage-deflate"]], {"deflate": False}, b"", []),
        ([[b"sec-websocket-extensions", b"unknown"]], {}, b"", []),
    ],
)
def test_a_valid_handshake_is_accepted(fields, limits, more, offered):
    codec = opened(*VALID, *fields, **limits)
    assert isinstance(codec, SocketCodec)
    assert codec.fields.block == b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" + more
    assert codec.subprotocols == offered


def test_compression_is_agreed_upon_if_it_is_offered():
    codec = opened(*VALID, [b"sec-websocket-extensions", b"permessage-deflate; client_max_window_bits"])
    assert isinstance(codec, SocketCodec)
    assert b"sec-websocket-extensions: permessage-deflate" in codec.fields.block


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([*UPGRADE, KEY], 426),
        ([*UPGRADE, KEY, [b"sec-websocket-version", b"8"]], 426),
        ([*VALID, VERSION], 426),
        ([*UPGRADE, VERSION], 400),
        ([*UPGRADE, VERSION, [b"sec-websocket-key", b"short"]], 400),
        ([*UPGRADE, VERSION, [b"sec-websocket-key", b"not base64, not at all!"]], 400),
        ([*VALID, KEY], 400),
        ([*VALID, [b"sec-websocket-protocol", b"a b"]], 400),
        ([*VALID, [b"sec-websocket-protocol", b"a,"]], None),
        ([*VALID, [b"sec-websocket-protocol", b"a"], [b"sec-websocket-protocol", b"(b)"]], 400),
        ([*VALID, [b"sec-websocket-extensions", b"permessage-deflate; ="]], 400),
    ],
)
def test_a_handshake_that_is_not_valid_is_refused(fields, status):
    found = opened(*fields)
    if status is None:  # an empty element of a list is none: RFC 9110 section 5.6.1
        assert isinstance(found, SocketCodec)
        return
    assert isinstance(found, Refusal)
    assert found.status == status
    assert found.content
    names_version = b"sec-websocket-version: 13\r\n" in found.fields.block
    assert names_version == (status == 426)
    assert (b"upgrade: websocket\r\n" in found.fields.block) == (status == 426)
