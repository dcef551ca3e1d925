"""Requests that differ from each other, as those of real clients do: another path, cookie, id and address each time.

A file of shapes (`heads.txt`, or another one given with `--heads`) has one or more heads, with an empty line between
them, which are taken in turn. In them

    {n}     is the number of the request
    {id}    16 hexadecimal digits; each {id} of a head has others
    {byte}  a number from 0 to 250; each {byte} of a head has another one

`heads.lua` does the same for wrk.
"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["HEADS", "LEAST_BODY", "Heads"]

HEADS = Path(__file__).resolve().parent / "heads.txt"
LEAST_BODY = 64  # bytes: room for what is JSON in a body
_NAMES = frozenset({"n", "id", "byte"})


class Heads:
    """Make requests of the shapes in a file.

    Args:
        body_bytes: the size of the JSON to post; 0 for none.

    Raises: ValueError for a file that is none of shapes.
    """

    def __init__(self, path: Path = HEADS, body_bytes: int = 0) -> None:
        if 0 < body_bytes < LEAST_BODY:
            raise ValueError(f"a body has {LEAST_BODY} bytes at least")
        self._body_bytes = body_bytes
        text = path.read_text(encoding="latin-1").replace("\r\n", "\n")
        self._shapes = [self._parsed(head) for head in re.split(r"\n\n+", text.strip("\n")) if head]
        if not self._shapes:
            raise ValueError(f"{path} has no head in it")
        unknown = {name for shape in self._shapes for name in shape[1::2]} - _NAMES
        if unknown:
            raise ValueError(f"{path}: unknown {', '.join(sorted(unknown))}; known are {', '.join(sorted(_NAMES))}")

    def request(self, number: int) -> bytes:
        """Return the request of this number, from 1 on."""
        parts = self._shapes[number % len(self._shapes)]
        made = [part if place % 2 else _value(part, number, place) for place, part in enumerate(parts, start=1)]
        return "".join(made).encode("latin-1") + self._body(number)

    def _parsed(self, head: str) -> list[str]:
        """Split a head: text and names take turns."""
        if self._body_bytes:
            head = re.sub(r"\A[A-Z]+", "POST", head)
            head += f"\nContent-Type: application/json\nContent-Length: {self._body_bytes}"
        return re.split(r"\{([A-Za-z]+)\}", head.replace("\n", "\r\n") + "\r\n\r\n")

    def _body(self, number: int) -> bytes:
        if not self._body_bytes:
            return b""
        begin = b'{"id": "%b", "note": "' % _identity(number, 0).encode()
        return begin + b"x" * (self._body_bytes - len(begin) - 2) + b'"}'


def _value(name: str, number: int, place: int) -> str:
    if name == "id":
        return _identity(number, place)
    return str(number if name == "n" else (number * (place + 7) + place * 31) % 251)


def _identity(number: int, place: int) -> str:
    return f"{(number % 1000003 * 40503 + place * 2654435) % 2**32:08x}{number % 2**32:08x}"
