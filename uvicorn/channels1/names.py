"""Names of channels and groups, in text or in bytes."""

from __future__ import annotations

import re
from typing import Any, Final

__all__ = ["DEFAULT_CHANNEL_LAYER", "NAMES", "is_name", "text_of"]

DEFAULT_CHANNEL_LAYER: Final = "default"

#: what a name may be
NAMES: Final = "ASCII letters, digits, '-', '_' and '.', less than 100 characters"

_NAME: Final = re.compile(r"[A-Za-z0-9._-]+([!?][A-Za-z0-9._-]*)?")
_LONGEST: Final = 99  # characters


def text_of(name: Any) -> Any:
    """Decode a name, or a pattern, that is in bytes; return anything else as it is."""
    return name.decode("ascii") if isinstance(name, (bytes, bytearray)) else name


def is_name(name: object, of_group: bool = False) -> bool:
    """Whether this is a name of a channel, or of a group."""
    if not isinstance(name, str) or len(name) > _LONGEST:
        return False
    found = _NAME.fullmatch(name)
    return found is not None and not (of_group and found[1])
