"""Minimum rates: does a client keep up? Pure state; the caller looks once a second. Loop thread only.

A client has an account of seconds. It begins with `min_rate_grace`; each second in which the client is the one that is
waited for is taken off, and each `least` bytes put one back. It is late when nothing is left. What can be saved is
limited too: or a client that was fast at first could hold a thread for hours.

The precedents: Kestrel wants 240 bytes a second after 5 seconds of grace, in either direction. Apache's mod_reqtimeout
gives a body 20 seconds, and one more for each 500 bytes. nginx has no rates; it limits each pause to 60 seconds, which
is what `body_timeout` and `write_timeout` do here. Ours are Kestrel's rate, which a bad mobile line still has, and
Apache's grace, which outlasts a change of cells.
"""

from __future__ import annotations

from typing import Final

__all__ = ["RateMeter", "Standstill", "Taking"]

_LONGEST_LOOK: Final = 2.0  # seconds between looks that are counted at most: a worker that was held up says nothing
_MEMORY_SECONDS: Final = 4.0  # arbitrary: how long an old rate takes to fade


class RateMeter:
    """The account of one stream of bytes.

    Args:
        now: loop time, seconds.
        total: how many bytes have passed so far; only its growth means something.
        grace: seconds on the account at the beginning.

    Attributes:
        rate: bytes a second, of the last few seconds in which the client was waited for.
        seconds: how long it was waited for.
    """

    __slots__ = ("_account", "_is_late", "_looked_at", "_total", "_was_awaited", "rate", "seconds")

    def __init__(self, now: float, total: int, grace: float) -> None:
        self._account = grace
        self._looked_at = now
        self._total = total
        self._was_awaited = True
        self._is_late = False
        self.rate = 0.0
        self.seconds = 0.0

    def look(self, now: float, total: int, is_awaited: bool, least: int, most: float) -> bool:
        """Count what has passed since the last look.

        Args:
            is_awaited: the client is the one that is waited for, and not the consumer or the server.
            least: bytes a second; 0 for no limit.
            most: seconds that may be saved up.

        Returns: whether the client is too slow, at this look and at the one before: between them the loop looks at
            its sockets, so that a worker that was held up itself does not blame a client.
        """
        elapsed = min(max(now - self._looked_at, 0.0), _LONGEST_LOOK)
        passed = max(total - self._total, 0)
        was_awaited, self._was_awaited = self._was_awaited, is_awaited
        self._looked_at = now
        self._total = total
        counted = elapsed if is_awaited and was_awaited else 0.0
        if counted:
            weight = min(1.0, counted / _MEMORY_SECONDS) if self.seconds else 1.0
            self.rate += (passed / counted - self.rate) * weight
            self.seconds += counted
        if not least:
            return False
        self._account = min(self._account - counted + passed / least, most)
        was_late, self._is_late = self._is_late, self._account < 0
        return was_late and self._is_late


class Standstill:
    """Whether something that is to grow does not.

    Args:
        now: loop time, seconds.
        total: what has passed so far; only its growth means something.
    """

    __slots__ = ("_is_late", "_since", "_total")

    def __init__(self, now: float, total: int) -> None:
        self._since = now
        self._total = total
        self._is_late = False

    def look(self, now: float, total: int, timeout: float) -> bool:
        """Whether it has not grown for `timeout` seconds (0: no limit), at this look and at the one before.

        The second look is for a worker that was held up itself, as with `RateMeter.look`.
        """
        if total > self._total:
            self._since = now
        self._total = total
        was_late, self._is_late = self._is_late, 0 < timeout < now - self._since
        return was_late and self._is_late


class Taking:
    """Whether a client takes what waits for it."""

    __slots__ = ("_standstill",)

    def __init__(self) -> None:
        self._standstill: Standstill | None = None  # while something waits

    def is_at_a_standstill(self, now: float, written: int, waiting: int, timeout: float) -> bool:
        """Whether it has taken nothing for `timeout` seconds (0: no limit), though something waits.

        Args:
            written: bytes so far; only its growth means something.
            waiting: how many of them the client has not taken.
        """
        if not waiting:
            self._standstill = None
            return False
        if self._standstill is None:
            self._standstill = Standstill(now, written - waiting)
        return self._standstill.look(now, written - waiting, timeout)
