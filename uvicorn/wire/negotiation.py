"""What a client prefers: `Accept-Encoding` and `Accept`. Sans-IO.

Spec: RFC 9110 sections 12.4 (quality), 12.5.1 and 12.5.3 (the fields).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

__all__ = ["accepts_html", "coding_for"]

_QUALITY: Final = re.compile(rb"0(?:\.\d{0,3})?|1(?:\.0{0,3})?")
_ALIASES: Final = {b"x-gzip": b"gzip"}


def coding_for(accept_encoding: bytes | None, available: Iterable[bytes]) -> bytes:
    """Return the content coding to send.

    Args:
        accept_encoding: the value of the field; None if there is none.
        available: codings, the one that we prefer first; the content without coding is there anyway.

    Returns: one of `available`; b"" for none. That is also sent to a client that accepts nothing of all this: 406 would
        help nobody.
    """
    if not accept_encoding:
        return b""  # without the field anything may be sent, but most who leave it out understand nothing
    accepted = _qualities(accept_encoding)
    others = accepted.get(b"*", 0.0)
    least, chosen = accepted.get(b"identity", 0.0), b""
    for coding in available:
        quality = accepted.get(coding, others)
        if quality and (quality > least or (quality == least and not chosen)):
            least, chosen = quality, coding
    return chosen


def accepts_html(accept: bytes | None) -> bool:
    """Whether a client asks for a page by name, as browsers do that go to an address: `*/*` alone is no such thing."""
    return accept is not None and _qualities(accept).get(b"text/html", 0.0) > 0


def _qualities(value: bytes) -> dict[bytes, float]:
    """Return the members of a list, in lower case, with their quality; malformed ones are left out."""
    found: dict[bytes, float] = {}
    for member in value.lower().split(b","):
        name, *parameters = (part.strip(b" \t") for part in member.split(b";"))
        quality: float | None = 1.0
        for parameter in parameters:
            key, _, text = parameter.partition(b"=")
            if key.rstrip(b" \t") == b"q":
                text = text.lstrip(b" \t")
                quality = float(text) if _QUALITY.fullmatch(text) else None
        if name and quality is not None:
            found[_ALIASES.get(name, name)] = quality
    return found
