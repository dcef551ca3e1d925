"""The office of this process: its worker's, or a program's own way to a layer.

A worker installs its office when it starts. A program that is no server has none: it names a layer with
`use("redis://...")` or the environment variable `UVICORN_CHANNEL_LAYER`, and gets an office that does nothing but send.
A child that an application forks in a worker is such a program, too: it has no loop. Its layer is that of the worker.
"""

from __future__ import annotations

import os
from typing import Any

from uvicorn.layers.office import Office

__all__ = ["current", "install", "is_child", "office_of", "uninstall"]

_current: Office | None = None
_process = 0  # that has installed it


def install(office: Office | None) -> None:
    """Make this the office of the process: one worker, one loop."""
    global _current, _process
    _current = office
    _process = os.getpid()


def uninstall(office: Office) -> None:
    """Have the process no office any more, if this is it."""
    global _current
    if _current is office:
        _current = None


def current() -> Office:
    """Return the office of this process.

    Raises: ChannelLayerUnavailable in a program that has named no layer, and in a child of a worker that no other
        process reaches.
    """
    if _current is not None and _process == os.getpid():
        return _current
    from uvicorn.layers.program import office_of_program, open_office  # not where there is a server

    url: str = getattr(_current, "url", "")  # of the worker that we were
    return open_office(url) if url else office_of_program()


def is_child() -> bool:
    """Whether this process was forked by a worker, and is none."""
    return _current is not None and _process != os.getpid()


def office_of(layer: Any) -> Office:
    """Return the office for what an application gives as `channel_layer`: a URL, or an office.

    Raises: ValueError, TypeError.
    """
    if isinstance(layer, str):
        from uvicorn.layers.program import open_office

        return open_office(layer)
    for name in ("add", "discard", "publish", "put"):
        if not callable(getattr(layer, name, None)):
            raise TypeError(f"channel_layer must be a URL such as 'redis://host', or an Office, not {layer!r}")
    office: Office = layer
    return office
