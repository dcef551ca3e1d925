"""What a client says of the order of its responses. Pure.

Spec: RFC 9218 section 4; a signal that cannot be read is none (section 5).
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["DEFAULT", "Priority", "read_priority"]

_LOWEST: Final = 7
_USUAL: Final = 3
_LONGEST: Final = 128  # bytes that are looked at; arbitrary


class Priority(NamedTuple):
    """The place of one response among those of its connection.

    Attributes:
        urgency: 0 comes first, 7 last.
        is_shared: it comes in turn with its like; else those with the same urgency come one after the other.
    """

    urgency: int = _USUAL
    is_shared: bool = True


#: Of who says nothing: round robin. RFC 9218 would have them come one after the other where a client knows of it.
DEFAULT: Final = Priority()


def read_priority(value: bytes) -> Priority:
    """Read the value of a `priority` field, or of a PRIORITY_UPDATE."""
    if not value.strip() or len(value) > _LONGEST:
        return DEFAULT
    urgency, is_shared = _USUAL, False
    for item in value.split(b","):
        key, _, rest = item.strip().partition(b"=")
        text = rest.partition(b";")[0].strip()
        if key == b"u":
            urgency = int(text) if len(text) == 1 and text.isdigit() and int(text) <= _LOWEST else urgency
        elif key.partition(b";")[0] == b"i":
            is_shared = text in (b"", b"?1")
    return Priority(urgency, is_shared)
