"""Pools of real threads, which end with their test, and threads that are not lent."""

import pytest
from pool_doubles import Pools

from uvicorn.bridge import lending


@pytest.fixture
def pools():
    made = Pools()
    yield made
    made.close()


@pytest.fixture
def no_lending(monkeypatch):
    """Have threads that are idle be kept, however busy the machine; `test_lending.py` is about the other case."""
    monkeypatch.setattr(lending, "IDLE_SECONDS", 1e6)
