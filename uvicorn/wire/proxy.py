"""The PROXY protocol, versions 1 and 2: who the client of the proxy in front is. Sans-IO.

Spec: haproxy/doc/proxy-protocol.txt, sections 2.1 (version 1) and 2.2 (version 2).
"""

from __future__ import annotations

import ipaddress
import struct
from typing import Final, NamedTuple

from uvicorn.errors import ClientError

__all__ = ["LONGEST_PROXY_HEADER", "ProxyHeader", "read_proxy_header"]

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_PREFIX: Final = b"PROXY "
_LONGEST_V1: Final = 107  # bytes, CRLF included; section 2.1
LONGEST_PROXY_HEADER: Final = 16 + 4096  # arbitrary: addresses and the extensions of well-known proxies


class ProxyHeader(NamedTuple):
    """A PROXY header.

    Attributes:
        size: bytes that it takes; 0 if there is none.
        client, server: [address, port] of the proxied connection, or None if the header has none.
    """

    size: int
    client: list[str | int] | None = None
    server: list[str | int] | None = None


def read_proxy_header(data: bytes | bytearray, mode: str) -> ProxyHeader | None:
    """Read the PROXY header at the beginning of a connection.

    Args:
        mode: "v1", "v2" or "auto", as Gunicorn's `proxy_protocol`.

    Returns: the header; one of size 0 if the connection begins with something else; None while more bytes
        are needed.
    Raises: ClientError 400 for a malformed header.
    """
    if mode in ("v2", "auto") and data[:12] == _SIGNATURE[: len(data)]:
        return _read_v2(data)
    if mode in ("v1", "auto") and data[:6] == _PREFIX[: len(data)]:
        return _read_v1(bytes(data[:_LONGEST_V1]))
    return ProxyHeader(0)


def _read_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n")
    if end < 0:
        if len(data) == _LONGEST_V1:
            raise ClientError(400, "PROXY line too long")
        return None
    words = data[:end].decode("ascii", "backslashreplace").split(" ")
    size = end + 2
    if words[1:2] == ["UNKNOWN"]:
        return ProxyHeader(size)
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise ClientError(400, f"invalid PROXY line {data[:end]!r}")
    version = 4 if words[1] == "TCP4" else 6
    return ProxyHeader(
        size,
        [_address(words[2], version), _port(words[4])],
        [_address(words[3], version), _port(words[5])],
    )


def _read_v2(data: bytes | bytearray) -> ProxyHeader | None:
    if len(data) < 16:
        return None
    version_command, family, length = struct.unpack_from("!BBH", data, 12)
    size = 16 + length
    if version_command >> 4 != 2 or version_command & 15 > 1 or size > LONGEST_PROXY_HEADER:
        raise ClientError(400, "invalid PROXY header")
    if len(data) < size:
        return None
    data = bytes(data[:size])
    if version_command & 15 == 0 or family >> 4 in (0, 3):  # LOCAL; or no address that we could tell
        return ProxyHeader(size)
    if family & 15 != 1 or family >> 4 > 3:
        raise ClientError(400, "PROXY header for something else than TCP")
    width = 4 if family >> 4 == 1 else 16
    if length < 2 * width + 4:
        raise ClientError(400, "PROXY header too short for its addresses")
    source, target = data[16 : 16 + width], data[16 + width : 16 + 2 * width]
    source_port, target_port = struct.unpack_from("!HH", data, 16 + 2 * width)
    return ProxyHeader(
        size,
        [str(ipaddress.ip_address(source)), source_port],
        [str(ipaddress.ip_address(target)), target_port],
    )


def _address(text: str, version: int) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = None
    if address is None or address.version != version:
        raise ClientError(400, f"invalid address {text!r} in PROXY line")
    return text


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise ClientError(400, f"invalid port {text!r} in PROXY line")
    return int(text)
