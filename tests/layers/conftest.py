"""The doubles of the bridge are used here, too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "bridge"))

import pytest
from patience import NEVER_SECONDS


@pytest.fixture(autouse=True)
def _workers_are_waited_for(monkeypatch):
    """Have what asks a worker of a local layer wait for its answer longer than a test.

    A worker here looks for late answers twenty times as often as others, so the second look does not help one that is
    in the midst of a long message when the machine stands still.
    """
    monkeypatch.setattr("uvicorn.layers.local_peers._ANSWER_SECONDS", NEVER_SECONDS)
    monkeypatch.setattr("uvicorn.layers.program_local._SECONDS", NEVER_SECONDS)


@pytest.fixture(scope="session", autouse=True)
def _redis_ends():
    """End the Redis that the tests of this process have started."""
    yield
    from carriers import RedisCarrier

    RedisCarrier.end()
