"""Where a browser's socket comes from: for consumers that shall serve their own site's pages only.

A browser lets every page on the web open a socket to any server, and sends the cookies along; only the Origin header
says whose page it is (cross-site WebSocket hijacking). The server leaves the decision to the consumer: a socket may be
meant for everybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

__all__ = ["is_allowed_origin", "origin_of"]

_PORTS: Final = {"http": 80, "https": 443}
_SCHEMES: Final = {"ws": "http", "wss": "https"}


def origin_of(message: Mapping[str, Any]) -> str | None:
    """Return the Origin of a `websocket.connect` or an `http.request`, for example "https://example.org".

    Returns: None if there is none, as with programs that are no browsers; "null" for a page without an origin.
    Spec: RFC 6454 section 7; RFC 6455 section 10.2.
    """
    return _header(message, b"origin")


def is_allowed_origin(message: Mapping[str, Any], others: Iterable[str] = ()) -> bool:
    """Whether the page that opens this socket is of the site that serves it, or of one of `others`.

    Args:
        others: origins that are allowed too, as a browser sends them: "https://app.example.org", with a port if it is
            not the usual one.

    Returns: True without an Origin: who is no browser can send what it likes, and has no cookies of a user.
    """
    origin = origin_of(message)
    if origin is None:
        return True
    found = _parts(origin)
    if found is None:
        return False
    scheme = message.get("scheme", "")
    own = _parts(f"{_SCHEMES.get(scheme, scheme)}://{_header(message, b'host') or ''}")
    return found == own or any(found == _parts(other) for other in others)


def _header(message: Mapping[str, Any], wanted: bytes) -> str | None:
    for name, value in message["headers"]:
        if name == wanted:
            return str(value, "latin-1")
    return None


def _parts(origin: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port; None for what is no origin."""
    try:
        split = urlsplit(origin)
        port = split.port
    except ValueError:
        return None
    if split.scheme not in _PORTS or not split.hostname or split.path or split.query or split.fragment:
        return None
    return split.scheme, split.hostname, port or _PORTS[split.scheme]
