"""The life of a connection: one table, as `wire/reply.py` has one for replies. No I/O.

A connection is in one of these states, which say what the next bytes from the client are:

    PROXY       a PROXY header
    PREFACE     the preface of HTTP/2, perhaps; with it the connection goes on as another one (h2_connection.py)
    HEAD        the head of a request
    BODY        a part of the body of a request
    LAST_BODY   the same, and no request is read after it
    SOCKET      frames: a request has asked for a socket
    LAST        nothing that is read; answers are due, and the connection is closed after them
    DEAF        the same, and the client may be sending still: see LINGERING
    LINGERING   dropped: our side is closed, and the client is given time to see why (RFC 9112 section 9.6)
    CLOSING     dropped: what is written is still sent
    LOST        none

and these events lead from one to another (`_NEXT`; what is not there changes nothing):

    from \\ event   proxy_read  body_begins  body_ended  upgrades  ends_here  is_cut_short
    PROXY          HEAD        -            -           -         LAST       DEAF
    PREFACE        -           -            -           -         LAST       DEAF
    HEAD           -           BODY         -           SOCKET    LAST       DEAF
    BODY           -           -            HEAD        -         LAST_BODY  DEAF
    LAST_BODY      -           -            LAST        -         -          DEAF
    SOCKET         -           -            -           -         LAST       DEAF
    LAST           -           -            -           -         -          DEAF

`awaits_preface` leads from HEAD to PREFACE, `preface_read` back, if it was none.

`closes`, `lingers` and `lost` lead to CLOSING, LINGERING and LOST from wherever the connection has not come further.

*Half closed* is beside all of these: the client has said that it sends nothing more, and may still read.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "BODY", "CLOSING", "DEAF", "HEAD", "LAST", "LAST_BODY", "LINGERING", "LOST", "PREFACE", "PROXY", "SOCKET", "Life",
]  # fmt: skip

PROXY: Final = 0
PREFACE: Final = 1
HEAD: Final = 2
BODY: Final = 3
LAST_BODY: Final = 4
SOCKET: Final = 5
LAST: Final = 6
DEAF: Final = 7
LINGERING: Final = 8
CLOSING: Final = 9
LOST: Final = 10

STATES: Final = (
    "PROXY", "PREFACE", "HEAD", "BODY", "LAST_BODY", "SOCKET", "LAST", "DEAF", "LINGERING", "CLOSING", "LOST",
)  # fmt: skip

_NEXT: Final[dict[tuple[int, str], int]] = {
    (PROXY, "proxy_read"): HEAD,
    (HEAD, "awaits_preface"): PREFACE,
    (PREFACE, "preface_read"): HEAD,
    (HEAD, "body_begins"): BODY,
    (HEAD, "upgrades"): SOCKET,
    (BODY, "body_ended"): HEAD,
    (LAST_BODY, "body_ended"): LAST,
    **{(state, "ends_here"): LAST for state in (PROXY, PREFACE, HEAD, SOCKET)},
    (BODY, "ends_here"): LAST_BODY,
    **{(state, "is_cut_short"): DEAF for state in (PROXY, PREFACE, HEAD, BODY, LAST_BODY, SOCKET, LAST)},
    **{(state, "lingers"): LINGERING for state in range(LINGERING)},
    **{(state, "closes"): CLOSING for state in range(CLOSING)},
    **{(state, "lost"): LOST for state in range(LOST)},
}


class Life:
    """Where one connection is in its life. Loop thread only.

    Attributes:
        state: one of the states above.
        is_ending: a response must look whether it is the last one: the client has sent all that it sends or has left,
            or the worker stops. Asked for each response.
        is_half_closed: the client has said that it sends nothing more.
    """

    __slots__ = ("is_ending", "is_half_closed", "state")

    def __init__(self, has_proxy_header: bool, is_ending: bool) -> None:
        self.state: int = PROXY if has_proxy_header else HEAD
        self.is_ending = is_ending
        self.is_half_closed = False

    def __repr__(self) -> str:
        return f"<Life {STATES[self.state]}{' half closed' if self.is_half_closed else ''}>"

    def on(self, event: str) -> bool:
        """Go where the event leads; return whether it leads anywhere from here."""
        following = _NEXT.get((self.state, event))
        if following is None:
            return False
        self.state = following
        if following == LOST:
            self.is_ending = True
        return True

    def on_half_closed(self) -> None:
        """The client sends nothing more."""
        self.is_half_closed = self.is_ending = True

    @property
    def is_over(self) -> bool:
        """Whether our side is closed, or the client has left."""
        return self.state >= LINGERING

    @property
    def is_lost(self) -> bool:
        """Whether nobody is left to answer."""
        return self.state == LOST
