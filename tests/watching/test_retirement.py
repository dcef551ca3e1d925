"""Workers that have grown too large or too old leave, one after the other."""

import os

import pytest

from uvicorn.watching.board import Sheet
from uvicorn.watching.retirement import NO, NOW, SOON, Retirement, is_turn_of
from uvicorn.watching.settings import Bounds


@pytest.mark.parametrize(
    ("memory", "age", "found", "reason"),
    [
        (100, 0, NO, ""),
        (201, 0, SOON, "it has 201 bytes, more than max_rss (200)"),
        (301, 0, NOW, "it has 301 bytes, more than max_rss_hard (300)"),
        (100, 52, NO, ""),
        (100, 53, SOON, "it is older than max_age (50 seconds)"),
        (301, 53, NOW, "it has 301 bytes, more than max_rss_hard (300)"),
    ],
)
def test_what_a_worker_may_reach(memory, age, found, reason):
    now = [1000.0]
    retirement = Retirement(Bounds(200, 300, 50.0), lambda: now[0], lambda: memory, lambda: 0.5)
    now[0] += age
    assert (retirement.look(), retirement.reason) == (found, reason)


def test_without_bounds_nobody_is_asked():
    retirement = Retirement(Bounds(), lambda: 1e9, lambda: 1 // 0)
    assert retirement.look() == NO


def test_a_worker_that_wanted_to_leave_wants_it_still_when_it_is_small_again():
    memory = [201]
    retirement = Retirement(Bounds(200), lambda: 0.0, lambda: memory[0])
    assert retirement.look() == SOON
    memory[0] = 100
    assert retirement.look() == SOON


FINE = {"is_started": True}
WANTS = {**FINE, "wants_to_leave": True}


@pytest.mark.parametrize(
    ("others", "is_turn"),
    [
        ([], True),
        ([FINE], True),
        ([{"is_started": False}], False),
        ([{**FINE, "is_stopping": True}], False),
        ([{**FINE, "is_leaving": True}], False),
    ],
)
def test_a_worker_leaves_when_all_others_serve(others, is_turn):
    sheets = [Sheet(0, {}), *(Sheet(10 + number, facts) for number, facts in enumerate(others)), Sheet(5, WANTS)]
    assert is_turn_of(5, sheets) is is_turn


def test_of_several_that_want_to_leave_the_first_place_is_first():
    sheets = [Sheet(7, WANTS), Sheet(5, WANTS), Sheet(os.getpid(), FINE)]
    assert is_turn_of(7, sheets)
    assert not is_turn_of(5, sheets)
