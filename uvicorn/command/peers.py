"""Which peers are trusted: Gunicorn's `forwarded_allow_ips` and `proxy_allow_ips`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from uvicorn.wire.forwarded import Allowed, Forwarding
from uvicorn.wire.head import HeaderPolicy

__all__ = ["GunicornPeers", "is_listed"]


class GunicornPeers:
    """What Gunicorn's settings say of each peer. Peers on a unix socket are trusted.

    Args:
        cfg: Gunicorn's configuration.
        forwarded_fields: the fields in which trusted peers tell of their clients (`proxy_headers`); "" if none is
            believed.
    """

    def __init__(self, cfg: Any, forwarded_fields: str = "") -> None:
        self.proxy_mode: str = cfg.proxy_protocol
        self._forwarded = (cfg.forwarded_allow_ips, cfg.forwarded_allow_networks())
        self._proxies = (cfg.proxy_allow_ips, cfg.proxy_allow_networks())
        self._secure = HeaderPolicy.from_config(cfg, is_trusted=True, is_believed=False)
        self._trusted = HeaderPolicy.from_config(cfg, is_trusted=True)
        self._untrusted = HeaderPolicy.from_config(cfg, is_trusted=False)
        if forwarded_fields:
            forwarding = Forwarding(Allowed(*self._forwarded), forwarded_fields)
            self._trusted = HeaderPolicy.from_config(cfg, is_trusted=True, forwarding=forwarding)

    def header_policy(self, address: str | None) -> HeaderPolicy:
        """Return what to do with the header fields of this peer."""
        return self._trusted if is_listed(address, *self._forwarded) else self._untrusted

    def may_begin_http2(self, address: str | None) -> bool:
        """Whether this peer may speak HTTP/2 without TLS: Gunicorn's `forwarded_allow_ips`, as for http2_cleartext."""
        return is_listed(address, *self._forwarded)

    def policy_behind(self, address: str | None, client: str) -> HeaderPolicy:
        """Return what to do with those of a client that this peer has named in a PROXY header.

        The scheme may be the peer's word. The address may not: a peer that forwards TCP passes on whatever its client
        has written, and the client is known already. Unless that is a trusted proxy itself.
        """
        if is_listed(client, *self._forwarded):
            return self._trusted
        return self._secure if is_listed(address, *self._forwarded) else self._untrusted

    def is_trusted(self, address: str | None) -> bool:
        """Whether numbers of the server are for this peer."""
        return is_listed(address, *self._forwarded)

    def may_send_proxy_header(self, address: str | None) -> bool:
        """Whether a PROXY header of this peer is believed."""
        return is_listed(address, *self._proxies)


def is_listed(address: str | None, allowed: Iterable[str], networks: Iterable[Any]) -> bool:
    """Whether an address is in a list of addresses and networks; "*" lists all of them.

    Args:
        address: IPv4 or IPv6, possibly with a zone ("fe80::1%eth0"); None for a unix socket.
    """
    if address is None or "*" in allowed:
        return True
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if ip.version == 6 and ip.ipv4_mapped is not None:
        return any(ip in network or ip.ipv4_mapped in network for network in networks)
    return any(ip in network for network in networks)
