"""How much useless work one HTTP/2 client may cause: pure policy. The caller counts and asks. Loop thread only.

Each kind of frame that asks for work and brings nothing has an account. It begins full, each frame takes one off, time
and useful work put some back. Who overdraws one is disconnected with ENHANCE_YOUR_CALM.

    kind        begins with   a second   put back by
    resets              200         10   half of each request that was answered; resets that we have to send for a
                                         mistake of the client count like its own (CVE-2023-44487, CVE-2025-8671)
    settings             50          1                                                  (CVE-2019-9515)
    ping                200         10                                                  (CVE-2019-9512)
    priority            500         50   requests                                       (CVE-2019-9513)
    empty               200         10   each piece of content that is not empty        (CVE-2019-9518)
    window             2000        100   each piece of content that was sent, of 16 KiB at most (two)
    refused             200         10   half of each request that was answered; heads that are no requests

All numbers are arbitrary: far above what clients do, and far below what costs a worker anything. A proxy that has many
clients behind one connection resets much, and is answered much.
"""

from __future__ import annotations

from typing import Final

__all__ = ["SHARED", "Accounts"]

SHARED: Final = ("resets", "refused")  # what one of several clients behind a proxy can overdraw

_TABLE: Final = {
    "resets": (200.0, 10.0),
    "settings": (50.0, 1.0),
    "ping": (200.0, 10.0),
    "priority": (500.0, 50.0),
    "empty": (200.0, 10.0),
    "window": (2000.0, 100.0),
    "refused": (200.0, 10.0),
}


class Accounts:
    """The accounts of one connection.

    Attributes:
        overdrawn: the kind of which there was too much, or "".
    """

    __slots__ = ("_at", "_left", "overdrawn")

    def __init__(self, now: float) -> None:
        self._left: dict[str, float] = {}  # kind -> what is left; full if it is not there
        self._at = now
        self.overdrawn = ""

    def take(self, kind: str, count: float = 1.0) -> None:
        """Count frames of a kind."""
        left = self._left[kind] = self._left.get(kind, _TABLE[kind][0]) - count
        if left < 0 and not self.overdrawn:
            self.overdrawn = kind

    def give(self, kind: str, count: float) -> None:
        """Put back what useful work is worth."""
        left = self._left.get(kind)
        if left is not None:
            self._left[kind] = min(left + count, _TABLE[kind][0])

    def answered(self) -> None:
        """Put back what an answer is worth."""
        if self._left:
            self.give("resets", 0.5)
            self.give("refused", 0.5)
            self.give("priority", 1)

    def tick(self, now: float) -> None:
        """Put back what time is worth."""
        elapsed, self._at = now - self._at, now
        for kind, left in tuple(self._left.items()):
            most, rate = _TABLE[kind]
            left += rate * elapsed
            if left >= most:
                del self._left[kind]
            else:
                self._left[kind] = left
