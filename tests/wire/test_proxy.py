"""The PROXY header, versions 1 and 2."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest

from uvicorn.errors import ClientError
from uvicorn.wire.proxy import ProxyHeader, read_proxy_header

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
AFTER = b"GET / HTTP/1.1\r\n"


def v2(version_command=0x21, family=0x11, payload=b"", length=None):
    length = len(payload) if length is None else length
    return SIGNATURE + struct.pack("!BBH", version_command, family, length) + payload


def addresses(source, target, source_port=4000, target_port=443):
    packed = ip_address(source).packed + ip_address(target).packed
    return packed + struct.pack("!HH", source_port, target_port)


FOUR = addresses("198.51.100.9", "203.0.113.1")
SIX = addresses("2001:db8::9", "2001:db8::1")
CLIENT_4, SERVER_4 = ["198.51.100.9", 4000], ["203.0.113.1", 443]
CLIENT_6, SERVER_6 = ["2001:db8::9", 4000], ["2001:db8::1", 443]
LONGEST_V1 = b"PROXY TCP6 %b %b 65535 65535\r\n" % ((b"ffff:" * 8)[:-1], (b"ffff:" * 8)[:-1])

VALID = {
    "v1 tcp4": (b"PROXY TCP4 198.51.100.9 203.0.113.1 4000 443\r\n", CLIENT_4, SERVER_4),
    "v1 tcp6": (b"PROXY TCP6 2001:db8::9 2001:db8::1 4000 443\r\n", CLIENT_6, SERVER_6),
    "v1 longest": (LONGEST_V1, ["ffff:" * 7 + "ffff", 65535], ["ffff:" * 7 + "ffff", 65535]),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", None, None),
    "v1 unknown, more": (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None, None),
    "v2 tcp4": (v2(payload=FOUR), CLIENT_4, SERVER_4),
    "v2 tcp6": (v2(family=0x21, payload=SIX), CLIENT_6, SERVER_6),
    "v2 extensions": (v2(payload=FOUR + b"\x03\0\x04abcd"), CLIENT_4, SERVER_4),
    "v2 longest": (v2(payload=FOUR + bytes(4096 - len(FOUR))), CLIENT_4, SERVER_4),
    "v2 local": (v2(0x20, 0, b""), None, None),
    "v2 local, addresses": (v2(0x20, 0x11, FOUR), None, None),
    "v2 unspecified": (v2(0x21, 0x00, b"abc"), None, None),
    "v2 unix": (v2(0x21, 0x31, bytes(216)), None, None),
}


def modes_of(name):
    return (name[:2], "auto")


@pytest.mark.parametrize("name", VALID)
def test_a_header_is_read_and_nothing_of_what_follows(name):
    data, client, server = VALID[name]
    for mode in modes_of(name):
        for after in (b"", AFTER, data):
            assert read_proxy_header(data + after, mode) == ProxyHeader(len(data), client, server)
        assert read_proxy_header(bytearray(data), mode) == ProxyHeader(len(data), client, server)


@pytest.mark.parametrize("name", VALID)
def test_more_is_asked_for_until_the_header_is_complete(name):
    data, _, _ = VALID[name]
    for mode in modes_of(name):
        assert [size for size in range(1, len(data)) if read_proxy_header(data[:size], mode) is not None] == []


@pytest.mark.parametrize(
    ("data", "mode"),
    [
        (AFTER, "auto"),
        (AFTER, "v1"),
        (AFTER, "v2"),
        (b"PROXIMITY", "auto"),
        (b"PROXY\t", "auto"),
        (b"proxy TCP4", "v1"),
        (b"\r\n\r\nGET /", "auto"),
        (b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n", "v2"),
        (v2(payload=FOUR), "v1"),
        (b"PROXY UNKNOWN\r\n", "off"),
        (b"\x16\x03\x01", "auto"),
    ],
)
def test_what_is_no_header_in_this_mode_is_left_alone(data, mode):
    assert read_proxy_header(data, mode) == ProxyHeader(0)


@pytest.mark.parametrize(
    "data",
    [
        b"PROXY \r\n",
        b"PROXY TCP4\r\n",
        b"PROXY TCP5 1.1.1.1 1.1.1.1 1 1\r\n",
        b"PROXY tcp4 1.1.1.1 1.1.1.1 1 1\r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n",
        b"PROXY TCP4  1.1.1.1 1.1.1.1 1 1\r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n",
        b"PROXY TCP4 1.1.1 1.1.1.1 1 1\r\n",
        b"PROXY TCP4 1.1.1.256 1.1.1.1 1 1\r\n",
        b"PROXY TCP4 ::1 ::1 1 1\r\n",
        b"PROXY TCP6 1.1.1.1 1.1.1.1 1 1\r\n",
        b"PROXY TCP4 1.1.1.1 localhost 1 1\r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 65536 1\r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 1 -1\r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 1 +1\r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 1 x\r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 \xb2 1\r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n\r\n",
        b"PROXY TCP6 " + b"f" * 200,
        b"PROXY UNKNOWN " + b"f" * 200,
        b"PROXY TCP4 1.1.1.1 1.1.1.1 1 " + b"0" * 200 + b"1\r\n",
        v2(0x11, payload=FOUR),
        v2(0x31, payload=FOUR),
        v2(0x22, payload=FOUR),
        v2(0x2F, payload=FOUR),
        v2(family=0x12, payload=FOUR),
        v2(family=0x10, payload=FOUR),
        v2(family=0x41, payload=FOUR),
        v2(payload=FOUR[:-1]),
        v2(payload=b""),
        v2(family=0x21, payload=FOUR),
        v2(family=0x21, payload=SIX[:-1]),
        v2(payload=FOUR, length=65535),
        v2(0x20, payload=b"", length=4097),
    ],
)
def test_a_malformed_header_is_refused(data):
    with pytest.raises(ClientError) as caught:
        read_proxy_header(data, "auto")
    assert caught.value.status == 400


@pytest.mark.parametrize("mode", ["v1", "auto"])
def test_a_line_that_does_not_end_is_refused_at_its_longest(mode):
    line = b"PROXY TCP6 " + b"f" * 200
    assert read_proxy_header(line[:106], mode) is None
    with pytest.raises(ClientError):
        read_proxy_header(line[:107], mode)
