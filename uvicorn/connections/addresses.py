"""Addresses: which peers are trusted, and how many connections each client has. Loop thread only."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv6Address
from typing import Final, Protocol

from uvicorn.wire.head import HeaderPolicy

__all__ = ["NO_PLACE", "AddressLimit", "Peers", "network_of"]

NO_PLACE: Final = ""  # of a connection that is not counted


class Peers(Protocol):
    """Which peers are trusted. `address` is None for a unix socket."""

    proxy_mode: str  # "off", "v1", "v2" or "auto"

    def header_policy(self, address: str | None) -> HeaderPolicy:
        """Return what to do with the header fields of this peer."""

    def policy_behind(self, address: str | None, client: str) -> HeaderPolicy:
        """Return what to do with those of a client that this peer has named in a PROXY header."""

    def may_begin_http2(self, address: str | None) -> bool:
        """Whether this peer may speak HTTP/2 without TLS, where that is served."""

    def may_send_proxy_header(self, address: str | None) -> bool:
        """Whether a PROXY header of this peer is believed."""


class AddressLimit:
    """How many connections each client has, and may have.

    A client is an IPv4 address, or the first 64 bits of an IPv6 address: one site, which may use any of the rest.

    Args:
        limit: most connections of one client; 0 for no limit, and nothing is counted.
        peers: a proxy that sends PROXY headers is not counted itself, its clients are.
    """

    def __init__(self, limit: int, peers: Peers) -> None:
        self._limit = limit
        self._peers = peers
        self._counts: dict[str, int] = {}
        self._refused: Counter[str] = Counter()
        self.refused = 0  # connections, in all

    def enter(self, address: str | None) -> str | None:
        """Take a place for a connection that was accepted.

        Returns: what to give to `leave`; None if this client has all of its places.
        """
        if not self._limit or address is None:
            return NO_PLACE
        if self._peers.proxy_mode != "off" and self._peers.may_send_proxy_header(address):
            return NO_PLACE
        return self.enter_proxied(address)

    def enter_proxied(self, address: str) -> str | None:
        """Take a place for the client that a proxy has named."""
        if not self._limit:
            return NO_PLACE
        place = network_of(address)
        count = self._counts.get(place, 0)
        if count >= self._limit:
            self._refused[place] += 1
            self.refused += 1
            return None
        self._counts[place] = count + 1
        return place

    def leave(self, place: str) -> None:
        """Give a place back."""
        if place:
            count = self._counts[place] - 1
            if count:
                self._counts[place] = count
            else:
                del self._counts[place]

    def take_refused(self) -> str:
        """Return what was refused since the last time, for a line of the log; "" if nothing was."""
        if not self._refused:
            return ""
        refused, self._refused = self._refused, Counter()
        shown = ", ".join(f"{count} from {place}" for place, count in refused.most_common(3))
        return f"{shown}; {refused.total()} in all" if len(refused) > 3 else shown


def network_of(address: str) -> str:
    """Return what counts as one client: an IPv4 address, or the first 64 bits of an IPv6 address, "2001:db8::/64"."""
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
