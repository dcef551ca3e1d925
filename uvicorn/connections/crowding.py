"""Who has to leave while all connections of a worker are open and others wait: pure functions.

The order, after nginx, which closes idle connections when it runs short of them:

1. idle connections between two requests, those first that are idle for longest;
2. those that have sent no complete request, and those that read the end of their last answer: oldest first;
3. clients that are slow to send a body or to take a response, slowest first;
4. the same where slowness is declared (`slow=True`).

Sockets, event streams, and requests that wait for their consumer are never closed. Nor is a client that moves bytes at
a fair speed: closing it for a new one would only make it come again, and nothing would ever be complete.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

__all__ = [
    "CLOSING", "EVENTS", "HANDSHAKE", "IDLE", "NEW", "SENDING", "SOCKET", "TAKING", "WAITING",
    "Standing", "describe", "may_leave", "order",
]  # fmt: skip

# What a connection is doing; also how the log calls it.
IDLE: Final = "idle"
NEW: Final = "without a request"
CLOSING: Final = "closing"
SENDING: Final = "sending a body"
TAKING: Final = "taking a response"
WAITING: Final = "in a consumer or waiting for one"
EVENTS: Final = "event streams"
SOCKET: Final = "sockets"
HANDSHAKE: Final = "in a TLS handshake"

_RANKS: Final = {IDLE: 0, NEW: 1, CLOSING: 1, SENDING: 2, TAKING: 2}
_SETTLED_SECONDS: Final = 2.0  # arbitrary: how long a client is watched before it is called slow
_FAIR_RATE: Final = 4096.0  # bytes a second; arbitrary: 17 times the default minimum, a 32 kbit/s line
_BUSIEST: Final = 3  # addresses that a log line names


class Standing(NamedTuple):
    """What one connection is doing.

    Attributes:
        seconds: how long it has been doing that, or, of a slow client, how long it was waited for.
        rate: bytes a second that a client sends or takes.
        is_declared: it may be slow: its route or its reply says so.
        is_silent: nothing of a request has come yet, and nothing of an answer is on its way.
    """

    state: str
    seconds: float = 0.0
    rate: float = 0.0
    is_declared: bool = False
    is_silent: bool = False


def may_leave(standing: Standing, is_pressing: bool) -> bool:
    """Whether a connection may be closed for others.

    Args:
        is_pressing: others have waited for a while; otherwise only idle connections are closed.
    """
    state, seconds, rate = standing.state, standing.seconds, standing.rate
    if state == IDLE:
        return True
    if state not in _RANKS or not is_pressing or seconds < _SETTLED_SECONDS / (2 if state == CLOSING else 1):
        return False
    return state not in (SENDING, TAKING) or rate < _FAIR_RATE


def order(standing: Standing) -> tuple[int, float]:
    """Return the key to sort by those that may leave: first who leaves first."""
    state, seconds, rate, is_declared = standing[:4]
    rank = _RANKS[state]
    if rank < 2:
        return rank, -seconds
    return rank + is_declared, rate


def describe(states: Iterable[str], addresses: Iterable[str]) -> str:
    """Return how many connections are in which state, and which addresses have most, for a line of the log.

    Args:
        addresses: one for each connection that has one.
    """
    by_state = Counter(states).most_common()
    text = ", ".join(f"{count} {state}" for state, count in by_state) or "none"
    busiest = [f"{address} ({count})" for address, count in Counter(addresses).most_common(_BUSIEST)]
    return f"{text}; most from {', '.join(busiest)}" if busiest else text
