"""Groups and channels: messages between the consumers of one process, one machine, or many."""

from __future__ import annotations

from uvicorn.layers.groups import Channel, Group

__all__ = ["Channel", "Group"]
