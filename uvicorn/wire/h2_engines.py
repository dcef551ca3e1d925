"""Which engines for HTTP/2 there are (`h2_engine.py`). They are imported when they are wanted."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from uvicorn.wire.h2_engine import EngineMaker
from uvicorn.wire.limits import Http2Limits

__all__ = ["ENGINES", "engine_maker", "find_engine"]

#: In the order of preference.
ENGINES: Final = ("ngh2", "h2")


def find_engine(name: str) -> str:
    """Return the name of the engine that a setting means ("auto" or a name); "" if that is not installed."""
    for engine in ENGINES:
        if name in ("auto", engine) and find_spec(engine) is not None:
            return engine
    return ""


def engine_maker(name: str, limits: Http2Limits) -> tuple[EngineMaker, str]:
    """Return what makes the engines of a worker's connections, and how the log calls it.

    Raises: ImportError.
    """
    if name == "ngh2":
        from uvicorn.wire import h2_ngh2

        return h2_ngh2.make_maker(limits)
    from uvicorn.wire import h2_pure

    return h2_pure.make_maker(limits)
