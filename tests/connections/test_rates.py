"""Who is too slow: accounts of seconds, by tables. No clock, no connection."""

from __future__ import annotations

import pytest

from uvicorn.connections.rates import RateMeter

LEAST, GRACE, MOST = 240, 20, 30


def late_at(looks, least=LEAST, grace=GRACE, most=MOST):
    """Return the time of the look that finds the client too slow, or None. `looks`: (time, total, is_awaited)."""
    meter = RateMeter(0.0, 0, grace)
    for now, total, is_awaited in looks:
        if meter.look(now, total, is_awaited, least, most):
            return now
    return None


def steady(bytes_a_second, seconds=1000, step=1, is_awaited=True):
    return [(now, int(now * bytes_a_second), is_awaited) for now in range(1, seconds, step)]


@pytest.mark.parametrize(
    ("rate", "found"),
    [
        (0, 22),  # the grace, and a second look
        (1, 22),
        (120, 42),  # half of the rate makes the grace twice as long
        (239, None),  # 1,000 seconds are not enough to tell
        (240, None),
        (10_000, None),
    ],
)
def test_a_client_below_the_rate_is_late_when_its_grace_is_used_up(rate, found):
    assert late_at(steady(rate)) == found


def test_a_client_a_little_below_the_rate_is_late_at_last():
    assert late_at(steady(230, seconds=1000)) == pytest.approx(20 / (1 - 230 / 240), abs=3)


def test_no_grace_is_two_looks():
    assert late_at(steady(0), grace=0, most=0) == 2


def test_no_least_rate_is_no_limit():
    assert late_at(steady(0), least=0) is None


def test_a_fast_start_is_no_licence_to_be_slow_for_ever():
    looks = [(1, 10_000_000, True)] + [(now, 10_000_000 + now, True) for now in range(2, 100)]
    assert late_at(looks) == 1 + MOST + 2


def test_a_pause_that_was_saved_up_is_allowed():
    looks = steady(5000, seconds=60) + [(now, 60 * 5000, True) for now in range(60, 60 + MOST)]
    assert late_at([*looks, (60 + MOST, 61 * 5000 + 240, True)]) is None


def test_time_in_which_somebody_else_is_slow_is_not_counted():
    assert late_at(steady(0, is_awaited=False)) is None
    assert late_at([(now, 0, now % 2 == 0) for now in range(1000)]) is None  # awaited at single looks only


def test_a_worker_that_was_held_up_does_not_blame_a_client():
    """It is silent for a minute; what the client has sent meanwhile is read after the first look."""
    assert late_at([(1, 240, True), (61, 240, True), (62, 60 * 240, True), (63, 61 * 240, True)]) is None


def test_a_held_up_worker_counts_two_seconds_of_each_look():
    assert late_at([(now, 0, True) for now in range(0, 1000, 50)]) == 600  # 11 looks of 2 seconds, and one more


def test_a_client_is_late_at_two_looks_in_a_row():
    meter = RateMeter(0.0, 0, 1)
    assert [meter.look(now, total, True, 100, 5) for now, total in [(1, 0), (2, 0), (3, 300), (4, 300), (6, 300)]] == [
        False,
        False,
        False,
        False,
        False,
    ]
    assert meter.look(8, 300, True, 100, 5)


def test_a_total_that_shrinks_is_no_growth():
    meter = RateMeter(0.0, 1000, 5)
    meter.look(1, 0, True, 100, 5)
    assert meter.rate == 0
    meter.look(2, 100, True, 100, 5)
    assert meter.rate > 0


@pytest.mark.parametrize(("rate", "steps"), [(100, 4), (100, 100), (0, 4), (4096, 50)])
def test_the_rate_is_that_of_a_steady_client(rate, steps):
    meter = RateMeter(0.0, 0, 5)
    for now in range(1, steps + 1):
        meter.look(now, now * rate, True, 0, 5)
    assert (meter.rate, meter.seconds) == (pytest.approx(rate), steps)


def test_the_rate_follows_a_client_that_becomes_slow():
    meter = RateMeter(0.0, 0, 5)
    rates = []
    for now in range(1, 40):
        meter.look(now, min(now, 10) * 1000, True, 0, 5)
        rates.append(meter.rate)
    assert rates[9] == pytest.approx(1000)
    assert rates[10] == pytest.approx(750)  # one bad second is no verdict
    assert rates[-1] < 1
