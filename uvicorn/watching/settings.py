"""What is watched, in numbers: plain values, apart from what watches, which not every server has."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["AUTOMATIC", "OFF", "Bounds", "HealthSettings", "WatchSettings"]

# the directory for the sockets of `uvicorn status`
AUTOMATIC: Final = "auto"
OFF: Final = "off"


class HealthSettings(NamedTuple):
    """Where it is answered, and what is starved.

    Attributes:
        path: the beginning of the paths; "" for none.
        max_wait: seconds that the first job of a full pool may wait.
        grace: seconds for which that may go on.
    """

    path: str = ""
    max_wait: float = 1.0
    grace: float = 5.0


class Bounds(NamedTuple):
    """What a worker may reach; 0 for no bound.

    Attributes:
        max_rss: resident bytes past which it leaves in its turn.
        max_rss_hard: past which it leaves at once.
        max_age: seconds after its start; up to a tenth more, so that workers do not leave together.
    """

    max_rss: int = 0
    max_rss_hard: int = 0
    max_age: float = 0.0


class WatchSettings(NamedTuple):
    """What is watched, and from when on it is told. Times in seconds; 0 for never."""

    loop_block_warning: float = 0.25
    pool_wait_warning: float = 1.0
    slow_consumer_warning: float = 10.0
    status_dir: str = AUTOMATIC
    health: HealthSettings = HealthSettings()
    bounds: Bounds = Bounds()
