"""Small helpers around transports and scopes, as other packages import them."""

from __future__ import annotations

import asyncio
import urllib.parse
from collections.abc import Mapping
from typing import Any

__all__ = [
    "ClientDisconnected", "get_client_addr", "get_local_addr", "get_path_with_query_string", "get_remote_addr",
    "is_ssl",
]  # fmt: skip


class ClientDisconnected(OSError):
    """The client has left. This server raises `uvicorn.ChannelClosed`, which is a ConnectionError."""


def get_remote_addr(transport: asyncio.BaseTransport) -> tuple[str, int] | None:
    """Return the client's address, or None for a Unix socket."""
    return _pair(transport.get_extra_info("peername"))


def get_local_addr(transport: asyncio.BaseTransport) -> tuple[str, int] | None:
    """Return our address, or None for a Unix socket."""
    return _pair(transport.get_extra_info("sockname"))


def is_ssl(transport: asyncio.BaseTransport) -> bool:
    """Whether the connection is encrypted."""
    return bool(transport.get_extra_info("sslcontext"))


def get_client_addr(scope: Mapping[str, Any]) -> str:
    """Return "host:port" of an ASGI scope's client, or "" if it is not known."""
    client = scope.get("client")
    return f"{client[0]}:{client[1]}" if client else ""


def get_path_with_query_string(scope: Mapping[str, Any]) -> str:
    """Return the path of an ASGI scope, quoted, with its query."""
    path = urllib.parse.quote(scope["path"])
    query: bytes = scope["query_string"]
    return f"{path}?{query.decode('ascii', 'replace')}" if query else path


def _pair(address: Any) -> tuple[str, int] | None:
    return (str(address[0]), int(address[1])) if isinstance(address, (tuple, list)) and len(address) >= 2 else None
