"""The URL that names a layer: what is allowed, and what it means. Pure."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

__all__ = ["REDIS_SCHEMES", "SCHEMES", "check_url", "shown_url"]

REDIS_SCHEMES: Final = (
    "redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster",
)  # fmt: skip
SCHEMES: Final = ("local", *REDIS_SCHEMES, "asgi+django")


def check_url(value: Any) -> str:
    """Return the URL of a layer.

    Raises: ValueError with one sentence.
    """
    if not isinstance(value, str) or urlsplit(value).scheme not in SCHEMES or "://" not in value:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise ValueError(f"channel_layer must be a URL that begins with {known}, not {value!r}")
    parts = urlsplit(value)
    if parts.scheme == "local" and parts.netloc:
        raise ValueError(
            f"channel_layer {value!r} names no directory: with three slashes it does, local:///{parts.netloc}{parts.path}"
        )
    return value


def shown_url(url: str) -> str:
    """Return a URL without its password, for the log."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return parts._replace(netloc=f"{parts.username or ''}:***@{parts.netloc.rpartition('@')[2]}").geturl()
