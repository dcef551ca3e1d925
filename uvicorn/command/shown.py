"""Numbers for a reader."""

from __future__ import annotations

__all__ = ["shown_seconds"]


def shown_seconds(seconds: float | None) -> str:
    """Return a duration for a reader."""
    if seconds is None:
        return "-"
    if seconds >= 1.0:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.1f} ms" if seconds >= 0.001 else f"{seconds * 1e6:.0f} us"
