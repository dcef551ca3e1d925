"""The interpreter's switch interval, while servers of a process that does other things, too, want it short."""

from __future__ import annotations

import sys

from uvicorn.bridge.framework_calls import installing

__all__ = ["restore_switch_interval", "shorten_switch_interval"]

_before = 0.0  # what it was
_count = 0  # of servers


def shorten_switch_interval(seconds: float) -> None:
    """A server begins: make it so short, if it is longer; 0 leaves it. Runs on: any thread."""
    global _before, _count
    with installing:
        if not _count:
            _before = sys.getswitchinterval()
        _count += 1
        if 0 < seconds < sys.getswitchinterval():
            sys.setswitchinterval(seconds)


def restore_switch_interval() -> None:
    """A server has ended: with the last one it is what it was. Runs on: any thread."""
    global _count
    with installing:
        _count -= 1
        if not _count:
            sys.setswitchinterval(_before)
