"""Whether a process is there."""

from __future__ import annotations

import os

__all__ = ["is_there"]


def is_there(pid: int) -> bool:
    """Return whether there is a process of this number, whoever's it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass
    return True
