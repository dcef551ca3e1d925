"""Who is to be made, and who is to leave: the decisions of the command's master, from what it knows of its workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Known", "Plan", "plan"]


class Known(NamedTuple):
    """What the master knows of a worker that is not leaving.

    Attributes:
        age: the order in which they were made.
        is_new: made by the reload that is under way, or by none.
        is_ready: it accepts.
        wants_to_leave: another one is to be made in its place first.
    """

    pid: int
    age: int
    is_new: bool = True
    is_ready: bool = True
    wants_to_leave: bool = False


class Plan(NamedTuple):
    """What is to be done.

    Attributes:
        missing: how many workers are to be made.
        leaving: process ids of those that are told to leave.
        is_reloaded: the new ones have taken over.
    """

    missing: int
    leaving: list[int]
    is_reloaded: bool


def plan(workers: Sequence[Known], wanted: int) -> Plan:
    """Return what is to be done.

    Old ones leave when all new ones are ready: until then a reload can be given up. One that wants to leave does so
    when there are enough others; a quarter of the workers, and at least one, are replaced at a time.
    """
    order = sorted(workers, key=lambda each: (each.is_ready, each.age))  # who does not serve yet is missed least
    old = [each for each in order if not each.is_new]
    new = [each for each in order if each.is_new]
    is_reloaded = sum(each.is_ready for each in new) >= wanted
    if old:
        leaving = new[: max(0, len(new) - wanted)] + (old if is_reloaded else [])
        return Plan(max(0, wanted - len(new)), [each.pid for each in leaving], is_reloaded)
    wishing = [each for each in new if each.wants_to_leave]
    others = [each for each in new if not each.wants_to_leave]
    replaced = min(len(wishing), max(1, wanted // 4))
    may_leave = min(len(wishing), max(0, sum(each.is_ready for each in others) + len(wishing) - wanted))
    leaving = wishing[:may_leave] + others[: max(0, len(others) - wanted)]
    return Plan(max(0, wanted + replaced - len(new)), [each.pid for each in leaving], is_reloaded)
