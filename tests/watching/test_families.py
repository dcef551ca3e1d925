"""Numbers of several workers as those of one."""

import json

import pytest

from uvicorn.bridge.tally import BOUNDS
from uvicorn.watching.families import COUNTER, FAMILIES, Figures, add_up, as_rows, from_rows, lasting, quantile


def histogram(*seconds):
    counts = [0] * (len(BOUNDS) + 1)
    for one in seconds:
        counts[next((number for number, bound in enumerate(BOUNDS) if one <= bound), len(BOUNDS))] += 1
    return [sum(seconds), *counts]


def test_counters_and_histograms_add_up_and_of_some_gauges_the_largest_is_told():
    run = ("app.slow", "", "pool")
    one: Figures = {
        "requests": {(): 3},
        "responses": {("200",): 2, ("404",): 1},
        "consumer_run_seconds": {run: histogram(0.1, 0.2)},
        "pool_oldest_wait_seconds": {("consumer",): 1.5},
    }
    other: Figures = {
        "requests": {(): 4},
        "responses": {("200",): 4},
        "consumer_run_seconds": {run: histogram(0.3)},
        "pool_oldest_wait_seconds": {("consumer",): 0.5},
        "something of a later version": {(): 1},
    }
    assert add_up([one, other]) == {
        "requests": {(): 7},
        "responses": {("200",): 6, ("404",): 1},
        "consumer_run_seconds": {run: pytest.approx(histogram(0.1, 0.2, 0.3))},
        "pool_oldest_wait_seconds": {("consumer",): 1.5},
    }
    assert one["consumer_run_seconds"][run] == histogram(0.1, 0.2)  # nothing is changed
    assert one["requests"] == {(): 3}


def test_of_a_worker_that_has_left_no_gauge_lasts():
    figures = {"requests": {(): 3}, "workers": {(): 1}, "loop_lag_seconds": {(): histogram(0.1)}}
    assert lasting(figures) == {"requests": {(): 3}, "loop_lag_seconds": {(): histogram(0.1)}}


def test_figures_survive_json():
    figures = {"requests": {(): 3}, "consumer_run_seconds": {("a", "", "loop"): histogram(0.1)}}
    assert from_rows(json.loads(json.dumps(as_rows(figures)))) == figures


@pytest.mark.parametrize(
    ("seconds", "part", "expected"),
    [
        ((), 0.5, None),
        ((0.3,), 0.5, 0.375),  # in the middle of its bucket, as Prometheus takes it
        ((0.3, 0.3, 0.3, 2.0), 0.5, 0.25 + 0.25 * 2 / 3),
        ((0.3, 2.0), 0.99, 1.0 + 1.5 * 0.98),
        ((100.0,), 0.5, 30.0),
        ((0.0001,), 1.0, 0.0005),
    ],
)
def test_quantiles(seconds, part, expected):
    found = quantile(histogram(*seconds), part)
    assert found == (expected if expected is None else pytest.approx(expected))


def test_every_family_says_what_it_is():
    for name, family in FAMILIES.items():
        assert family.text
        assert not name.endswith("_total")
        assert family.kind != COUNTER or not family.is_largest
