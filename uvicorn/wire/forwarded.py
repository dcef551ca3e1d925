"""Whom a trusted proxy speaks for: `X-Forwarded-For`, `X-Forwarded-Proto`, and `Forwarded` of RFC 7239. Pure.

Each proxy adds the address that it was connected from at the end. So what is there is read from the right: the last
address was seen by the peer itself, which is trusted; if that address is a trusted proxy, too, the one before it was
seen by that proxy; and so on. The first address that is not trusted is the client. What is left of it was written by
the client, or by somebody before it, and means nothing.

What is no address ends the chain in the same way: the client is then the last proxy that is known. Nothing here is
refused, and nothing raises: what is malformed says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import islice
from typing import Any, Final, TypeAlias

from uvicorn.messages import Headers

__all__ = ["FIELD_CHOICES", "Allowed", "Forwarding", "Origin", "read_address"]

#: Which fields are read: "auto" takes X-Forwarded-* where a request has any of them, and Forwarded where it has none.
FIELD_CHOICES: Final = ("auto", "x-forwarded", "forwarded")

_FOR: Final = b"x-forwarded-for"
_PROTO: Final = b"x-forwarded-proto"
_FORWARDED: Final = b"forwarded"
_COMMA: Final = 0x2C  # a number: `in` takes it in a twentieth of the time that it takes bytes (uncompiled)
_MOST_HOPS: Final = 64  # arbitrary: more proxies than anybody has, and few enough to be read for each request
_SCHEMES: Final = {b"http": "http", b"https": "https", b"ws": "http", b"wss": "https"}

_OCTET: Final = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4: Final = re.compile(rb"(?:" + _OCTET + rb"\.){3}" + _OCTET)
_NODE: Final = re.compile(
    rb"((?:" + _OCTET + rb"\.){3}" + _OCTET + rb")(?::([0-9]{1,5}))?|\[([0-9A-Fa-f:.]{2,45})\](?::([0-9]{1,5}))?"
)
_IPV6: Final = re.compile(rb"[0-9A-Fa-f:.]{2,45}")
_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED: Final = rb'"((?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t -~\x80-\xff])*)"'
# RFC 7239 section 4: token "=" (token / quoted-string), in a list with ";"
_PAIR: Final = re.compile(rb"[ \t]*(" + _TOKEN + rb")=(?:(" + _TOKEN + rb")|" + _QUOTED + rb")[ \t]*(;|$)")
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)

#: A loop over the bytes of an address costs a sixth of an expression if this is compiled, and six times as much if not.
_IS_COMPILED: Final = not __file__.endswith(".py")

_Address: TypeAlias = "list[Any]"  # [str, int]; the port is 0 if it is not known
_Network: TypeAlias = IPv4Network | IPv6Network
#: (client, scheme) that a request came from; None for what is not known
Origin: TypeAlias = "tuple[_Address | None, str | None]"


class Allowed:
    """Addresses and networks that are trusted: Gunicorn's `forwarded_allow_ips`, prepared for many questions.

    Args:
        allowed: addresses, networks, or "*" for all.
        networks: what Gunicorn has made of them.
    """

    def __init__(self, allowed: list[str], networks: list[_Network] | None = None) -> None:
        self.has_all = "*" in allowed
        made = [ip_network(item) for item in allowed if item != "*"] if networks is None else networks
        self._addresses = {_shown(network.network_address) for network in made if network.num_addresses == 1}
        self._networks = [network for network in made if network.num_addresses > 1]

    def has(self, address: str) -> bool:
        """Whether an address, as `read_address` returns it, is trusted."""
        if self.has_all or address in self._addresses:
            return True
        if self._networks:
            made = ip_address(address)
            for network in self._networks:
                if made in network:
                    return True
        return False


class Forwarding:
    """What trusted proxies say of where requests came from.

    Args:
        allowed: who is trusted, beside the peer itself.
        fields: one of `FIELD_CHOICES`.

    Attributes:
        names: lower-case names of the fields that `read` is to be given.
    """

    def __init__(self, allowed: Allowed, fields: str = "auto") -> None:
        self._allowed = allowed
        both = frozenset((_FOR, _PROTO, _FORWARDED))
        self.names = {"auto": both, "x-forwarded": both - {_FORWARDED}, "forwarded": frozenset((_FORWARDED,))}[fields]
        self._reads_x_forwarded = _FOR in self.names

    def read(self, fields: Headers) -> Origin:
        """Return what these fields of a trusted peer say, in the order in which they came; others are passed over."""
        hosts: list[bytes] = []
        schemes: list[bytes] = []
        for field in fields:
            name = field[0]
            if name == b"x-forwarded-for":
                hosts.append(field[1])
            elif name == b"x-forwarded-proto":
                schemes.append(field[1])
        if self._reads_x_forwarded and len(hosts) == 1 and len(schemes) < 2:
            host: bytes = hosts[0]
            scheme: bytes = schemes[0] if schemes else b""
            # One proxy, most often: what `_walk` would say, without a walk.
            if _COMMA not in host and _COMMA not in scheme:
                is_usual = _is_ipv4(host) if _IS_COMPILED else _IPV4.fullmatch(host) is not None
                address = [host.decode("ascii"), 0] if is_usual else read_address(host.strip(b" \t"))
                return address, _SCHEMES.get(scheme) or _scheme_of(scheme)
        if (hosts or schemes) and self._reads_x_forwarded:
            # A field may come twice: some proxies add a line, and others add to the line (RFC 9110 section 5.3).
            return self._walk(_split(b",".join(hosts)), _split(b",".join(schemes)) if schemes else None)
        if _FORWARDED in self.names:
            return self._walk_elements(b",".join([value for name, value in fields if name == _FORWARDED]))
        return None, None

    def _walk(self, hosts: Iterator[bytes], schemes: Iterator[bytes] | None) -> Origin:
        client: _Address | None = None
        hops = 0
        for host in hosts:
            address = read_address(host)
            if address is None:
                break
            client = address
            hops += 1
            if hops >= _MOST_HOPS or not self._allowed.has(address[0]):
                break
        scheme: str | None = None
        # Of as many proxies as have added an address; one that has set the scheme, and not added to it, speaks for all.
        for value in islice(schemes or (), max(1, hops)):
            said = _scheme_of(value)
            if said is None:
                break
            scheme = said
        return client, scheme

    def _walk_elements(self, value: bytes) -> Origin:
        client: _Address | None = None
        scheme: str | None = None
        for hops, element in enumerate(_elements(value), 1):
            pairs = _pairs(element)
            if pairs is None:
                break
            if b"proto" in pairs:
                scheme = _SCHEMES.get(pairs[b"proto"].lower(), scheme)
            address = read_address(pairs.get(b"for", b""))
            if address is None:
                break
            client = address
            if hops >= _MOST_HOPS or not self._allowed.has(address[0]):
                break
        return client, scheme


def read_address(text: bytes) -> _Address | None:
    """Read an address as proxies write it, with or without a port: "192.0.2.1:80", "[2001:db8::1]:80", "2001:db8::1".

    Returns: [address in its one usual spelling, port or 0]; None for what is none, such as "unknown" and names. IPv4
        addresses that an IPv6 socket has seen are shown as IPv4.
    Spec: RFC 7239 section 6.
    """
    found = _NODE.fullmatch(text)
    if found is not None:
        if found[1] is not None:
            port = int(found[2] or 0)
            return [found[1].decode(), port] if port < 65536 else None
        port = int(found[4] or 0)
        text = found[3]
    else:
        port = 0
        if not _IPV6.fullmatch(text):
            return None
    if port > 65535:
        return None
    try:
        address = IPv6Address(text.decode())
    except ValueError:
        return None
    return [_shown(address), port]


def _is_ipv4(text: bytes) -> bool:
    """Whether this is an IPv4 address in its one usual spelling: most are."""
    dots = number = digits = 0
    for code in text:
        if code == 0x2E:  # a dot
            if not digits:
                return False
            dots += 1
            number = digits = 0
        elif 0x30 <= code <= 0x39:
            if digits and not number:
                return False  # a zero before it
            number = number * 10 + code - 0x30
            if number > 255:
                return False
            digits += 1
        else:
            return False
    return dots == 3 and digits > 0


def _scheme_of(value: bytes) -> str | None:
    return _SCHEMES.get(value.strip(b" \t").lower())


def _shown(address: IPv4Address | IPv6Address) -> str:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def _split(value: bytes) -> Iterator[bytes]:
    """Yield the items of a list from its end; empty ones are none (RFC 9110 section 5.6.1)."""
    end = len(value)
    while end >= 0:
        comma = value.rfind(b",", 0, end)
        item = value[comma + 1 : end].strip(b" \t")
        if item:
            yield item
        end = comma


def _elements(value: bytes) -> Iterator[bytes]:
    """Yield the elements of a Forwarded field from its end.

    From the end, because an open quote that a client has sent must not swallow what a proxy has added behind it. A
    comma in a quoted string has an odd number of quotes behind it up to the next element, and so it is no end.
    """
    end = at = len(value)
    quotes = 0
    while end >= 0:
        comma = value.rfind(b",", 0, at)
        piece = value[comma + 1 : at]
        quotes += piece.count(b'"') - piece.count(b'\\"')
        if quotes % 2 == 0:
            element = value[comma + 1 : end].strip(b" \t")
            if element:
                yield element
            end, quotes = comma, 0
        elif comma < 0:
            yield value[:end]  # malformed
            return
        at = comma


def _pairs(element: bytes) -> dict[bytes, bytes] | None:
    """Return the parameters of one element, names in lower case; None if it is malformed, or has one twice."""
    pairs: dict[bytes, bytes] = {}
    at = 0
    while True:
        found = _PAIR.match(element, at)
        if found is None:
            return None
        name = found[1].lower()
        if name in pairs:
            return None
        pairs[name] = found[2] if found[2] is not None else _ESCAPED.sub(rb"\1", found[3])
        at = found.end()
        if not found[4]:
            return pairs
