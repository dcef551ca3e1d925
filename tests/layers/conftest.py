"""The doubles of the bridge are used here, too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "bridge"))

import pytest


@pytest.fixture(scope="session", autouse=True)
def _redis_ends():
    """End the Redis that the tests of this process have started."""
    yield
    from carriers import RedisCarrier

    RedisCarrier.end()
