"""Pools of real threads, which end with their test."""

import pytest
from bridge_doubles import Pools


@pytest.fixture
def pools():
    made = Pools()
    yield made
    made.close()
