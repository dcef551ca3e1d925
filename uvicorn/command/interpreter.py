"""What a server sets in the interpreter: its switch interval, and its collector of garbage.

A worker has the interpreter for itself. In a process that does other things, too, the switch interval is short while
there is a server (`shorten_switch_interval`), and the collector is left alone; while `uvicorn.run` has the process, it
collects more seldom (`seldom_collecting`).
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from uvicorn.bridge.framework_calls import installing

__all__ = [
    "restore_switch_interval",
    "seldom_collecting",
    "shorten_switch_interval",
    "spare_shared_memory",
    "tune_collector",
]

_COLLECT_AFTER: Final = 10_000  # objects; arbitrary: about a thousand requests in flight

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


def spare_shared_memory() -> None:
    """Have the collectors of workers not touch, and so copy, what they share with the master. Runs on: the master."""
    gc.collect()
    gc.freeze()


def tune_collector() -> None:
    """Spare the cyclic garbage collector what lives as long as the worker, and what dies with its request."""
    gc.collect()
    gc.freeze()
    _collect_seldom()


@contextmanager
def seldom_collecting() -> Iterator[None]:
    """Spare it what dies with its request, for as long as this lasts."""
    before = gc.get_threshold()
    _collect_seldom()
    try:
        yield
    finally:
        if gc.get_threshold()[0] == _COLLECT_AFTER:  # the application has set none meanwhile
            gc.set_threshold(*before)


def _collect_seldom() -> None:
    """Raise the first threshold.

    At Python's default a burst of requests sets off a collection every few dozen of them, which finds nothing:
    measured 7% of a small page. An application that has set thresholds of its own keeps them.
    """
    if gc.get_threshold()[0] in (700, 2000):  # Python's defaults, up to 3.12 and from 3.13 on
        gc.set_threshold(_COLLECT_AFTER, *gc.get_threshold()[1:])
