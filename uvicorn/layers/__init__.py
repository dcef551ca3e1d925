"""Groups and channels: messages between the consumers of one process, one machine, or many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.layers.groups import Channel, Group

if TYPE_CHECKING:
    from uvicorn.layers.program import use

__all__ = ["Channel", "Group", "use"]


def __getattr__(name: str) -> Any:
    """Import what only programs use, which are no servers, when it is asked for."""
    if name == "use":
        from uvicorn.layers.program import use

        return use
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
