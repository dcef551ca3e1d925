"""Groups and channels: messages between the consumers of one process, one machine, or many."""

from __future__ import annotations

from uvicorn.layers.groups import Channel, Group
from uvicorn.layers.program import use

__all__ = ["Channel", "Group", "use"]
