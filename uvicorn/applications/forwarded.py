"""An ASGI application behind a proxy, whose client and scheme are those that the proxy says.

For applications that are served without `proxy_headers`, or by another server; the name under which others import it is
`uvicorn.middleware.proxy_headers.ProxyHeadersMiddleware`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

__all__ = ["ProxyHeadersMiddleware"]


class ProxyHeadersMiddleware:
    """An ASGI application around another one.

    `X-Forwarded-For` is read from the right: the first address that is not a trusted proxy is the client.

    Args:
        trusted_hosts: addresses and networks of proxies, a list or a text with commas; "*" for all. What is neither is
            compared with the peer's name.
    """

    def __init__(self, app: Any, trusted_hosts: list[str] | str = "127.0.0.1") -> None:
        self.app = app
        given = trusted_hosts.split(",") if isinstance(trusted_hosts, str) else trusted_hosts
        self._trusted = _Trusted(text.strip() for text in given)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Call the application with a scope that says who its client is."""
        client = scope.get("client")
        if scope["type"] != "lifespan" and (client[0] if client else None) in self._trusted:
            scope = dict(scope)
            headers = scope["headers"]
            scheme = _joined(headers, b"x-forwarded-proto").strip().lower()
            if scheme in ("http", "https", "ws", "wss"):
                scope["scheme"] = (
                    scheme.replace("http", "ws") if scope["type"] == "websocket" else scheme.replace("ws", "http")
                )
            address = self._trusted.client_of(_joined(headers, b"x-forwarded-for"))
            if address:
                scope["client"] = address
        await self.app(scope, receive, send)


class _Trusted:
    """Which peers are proxies. "in" tells it of an address; of None, a Unix socket's peer, it is true if all are."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self._networks: list[Any] = []
        self._names: set[str] = set()
        for host in hosts:
            try:
                self._networks.append(ipaddress.ip_network(host, strict=False))
            except ValueError:
                self._names.add(host)

    def __contains__(self, host: str | None) -> bool:
        if "*" in self._names:
            return True
        if not host:
            return False
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return host in self._names
        return any(address in network for network in self._networks)

    def client_of(self, forwarded_for: str) -> tuple[str, int] | None:
        """Return the client of `X-Forwarded-For`; None if it names none."""
        hops = [_host_and_port(hop.strip()) for hop in forwarded_for.split(",") if hop.strip()]
        if not hops:
            return None
        if "*" in self._names:
            return hops[0]
        return next((hop for hop in reversed(hops) if hop[0] not in self), hops[0])


def _joined(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    return ",".join(value.decode("latin-1") for key, value in headers if key == name)


def _host_and_port(text: str) -> tuple[str, int]:
    """Return what "192.0.2.1", "192.0.2.1:80", "2001:db8::1" or "[2001:db8::1]:80" say; port 0 if none."""
    host, colon, port = text.rpartition(":")
    if text.startswith("["):
        address, _, rest = text[1:].partition("]")
        return address, int(rest[1:]) if rest[1:].isdecimal() else 0
    if colon and ":" not in host and port.isdecimal():
        return host, int(port)
    return text, 0
