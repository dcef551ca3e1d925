"""Patterns of routes: compiled once, matched against the keys of a message. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from uvicorn.errors import ConsumerError

__all__ = ["Filters", "compile_pattern", "first_segment", "groups_of", "match_filters"]

#: A pattern that no path can match whose first segment is another one: "^/name/..." or "^/name$".
_ONE_SEGMENT: Final = re.compile(r"\^/((?:[A-Za-z0-9_~-]|\\[.\-])+)(?:/(?![*+?{])|\$\Z)")

Filters = dict[str, "re.Pattern[str]"]


def compile_pattern(what: str, key: str, pattern: Any) -> re.Pattern[str]:
    """Compile one pattern of a route.

    Raises: ConsumerError that names the key and the pattern.
    """
    try:
        compiled: re.Pattern[str] = re.compile(pattern)
        compiled.search("")  # a pattern of bytes is none here
        return compiled
    except (re.error, TypeError) as error:
        raise ConsumerError(f"{key} {pattern!r} of {what} is not a regular expression: {error}") from None


def match_filters(filters: Filters, message: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the named groups of a message that matches every pattern; None for one that does not.

    A key that the message does not have matches nothing. Bytes are matched as latin-1, other values as `str` shows
    them.
    """
    groups: dict[str, str] = {}
    for key, pattern in filters.items():
        value = message.get(key)
        if value is None:
            return None
        if isinstance(value, (bytes, bytearray)):
            value = value.decode("latin-1")
        found = pattern.search(value if isinstance(value, str) else str(value))
        if found is None:
            return None
        if pattern.groupindex:
            groups.update((name, text) for name, text in found.groupdict().items() if text is not None)
    return groups


def groups_of(filters: Filters) -> list[str]:
    """Return the names of all groups."""
    return [name for pattern in filters.values() for name in pattern.groupindex]


def first_segment(pattern: re.Pattern[str]) -> str | None:
    """Return the first segment of every path that a pattern can match, or None if that is not certain."""
    if pattern.flags & ~re.UNICODE or "|" in pattern.pattern:
        return None
    found = _ONE_SEGMENT.match(pattern.pattern)
    return found[1].replace("\\", "") if found else None
