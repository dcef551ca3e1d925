"""Streams of a grammar, right or wrong, in any slicing, on the bench of `differential.py`; longer: `scripts/fuzz`."""

from __future__ import annotations

import random

import pytest
from differential import TIGHT, Bench
from http_grammar import cuts, stream
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def benches():
    benches = [Bench(), Bench(**TIGHT)]
    yield benches
    for bench in benches:
        bench.close()


@pytest.mark.parametrize("first", range(0, 400, 50))
def test_every_reading_of_a_stream_is_the_same(benches, first):
    for seed in range(first, first + 50):
        chance = random.Random(seed)
        data = stream(chance)
        benches[seed % 2].check(data, [cuts(chance, len(data)) for _ in range(3)])


@settings(max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(chance=st.randoms(use_true_random=False), is_tight=st.booleans())
def test_every_reading_of_an_odd_stream_is_the_same(benches, chance, is_tight):
    data = stream(chance)
    benches[is_tight].check(data, [cuts(chance, len(data)) for _ in range(3)])
