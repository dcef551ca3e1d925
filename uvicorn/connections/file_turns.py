"""What all files on their way may take of one turn of the loop. Loop thread only.

To copy 2 MiB into a socket takes the system some tenths of a millisecond. A hundred clients that take as fast as that
would hold the loop for as many in each turn. So all of them together have a budget; who finds it spent waits in a
queue, and as long as there is a queue, everybody goes to its end: they are served in turn, whoever the system names
first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from uvicorn.connections.turns import Turns

__all__ = ["file_turns"]

_MOST: Final = 8388608  # bytes of all files in one turn: about a millisecond; arbitrary


def file_turns(call_soon: Callable[..., Any]) -> Turns:
    """Return the budget of a loop, in bytes; it is filled up in the turn behind each that has used some of it."""
    return Turns(call_soon, most=_MOST, low=_MOST, kept=0)
