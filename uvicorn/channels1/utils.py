"""`name_that_thing`: how logs call a consumer."""

from __future__ import annotations

from uvicorn.bridge.consumer import name_of

__all__ = ["name_that_thing"]


def name_that_thing(thing: object) -> str:
    """Return module and name of a callable, or of a class."""
    return name_of(thing)
