"""Which file a path means, and whether its name says that its content never changes. Pure.

A path is refused unless each component is a plain name: not empty, without a dot in front (which covers "." and ".."),
a backslash or a control character, and with no slash that was encoded: a proxy in front may have seen another path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["has_hash", "immutable_by", "is_plain", "path_below", "slashed"]

_REFUSED: Final = re.compile(r"[\x00-\x1f\x7f\\]|(?:^|/)\.|^/|//")
_HEX: Final = re.compile(r"[0-9a-f]{8,64}")
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_DELIMITERS: Final = re.compile(r"[.\-_~]")


def path_below(message: Mapping[str, Any]) -> str | None:
    """Return the decoded path below the mount point, with the slash in front; None if it is no path of ours.

    It is "/" or empty for the mount point itself. It may still have to be refused: see `is_plain`.
    """
    path: str = message["path"]
    raw: bytes = message["raw_path"]
    if b"%" in raw and b"%2f" in raw.lower():
        return None
    root: str = message["root_path"]
    if root:
        root = root.rstrip("/")
        if path.startswith(root):
            rest = path[len(root) :]
            if not rest or rest[0] == "/":
                return rest
    return path if path[:1] == "/" or not path else None


def is_plain(path: str) -> bool:
    """Whether each component of a path is a plain name. There is no slash in front; one at the end is no component."""
    return _REFUSED.search(path) is None


def slashed(message: Mapping[str, Any]) -> bytes:
    """Return where a request for a folder without the slash at its end is sent: relative, for any proxy in front."""
    name: bytes = message["raw_path"].rpartition(b"/")[2]
    query: bytes = message["query_string"]
    return b"./" + name + b"/" + (b"?" + query if query else b"")


def has_hash(path: str) -> bool:
    """Whether a file name has the hash of its content in it, so that another content has another name.

    That is a part of eight or more hexadecimal digits behind the first part: app.3f2a9c1b.js, main-5f3a1b2c.chunk.css.
    It has two digits and a letter at least, or dates and words would be taken for one; and no UUID is one. Other
    alphabets are not recognized: nobody can tell the hash in index-DiwrgTda.js from the name in photo-iPhone12.jpg.
    """
    name = path.rpartition("/")[2]
    if _UUID.search(name):
        return False
    return any(_HEX.fullmatch(part) and _is_random(part) for part in _DELIMITERS.split(name)[1:-1])


def _is_random(part: str) -> bool:
    digits = sum(character.isdigit() for character in part)
    return 2 <= digits < len(part)


def immutable_by(given: Any, known: frozenset[str] = frozenset()) -> Callable[[str], bool]:
    """Make what tells whether the content of a file never changes.

    Args:
        given: True for names with a hash, False for none; or a regular expression that is searched for in the path.
        known: paths of which it is known.

    Raises: re.error, TypeError.
    """
    if given is True:
        return lambda path: path in known or has_hash(path)
    if given is False:
        return known.__contains__
    pattern = re.compile(given)
    return lambda path: path in known or pattern.search(path) is not None
