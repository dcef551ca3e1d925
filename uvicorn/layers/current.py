"""The office of this process: its worker's, or a program's own way to a layer.

A worker installs its office when it starts. A program that is no server has none: it names a layer with
`use("redis://...")` or the environment variable `UVICORN_CHANNEL_LAYER`, and gets an office that does nothing but send.
"""

from __future__ import annotations

from typing import Any

from uvicorn.layers.office import Office

__all__ = ["current", "install", "office_of", "uninstall"]

_current: Office | None = None


def install(office: Office | None) -> None:
    """Make this the office of the process: one worker, one loop."""
    global _current
    _current = office


def uninstall(office: Office) -> None:
    """Have the process no office any more, if this is it."""
    global _current
    if _current is office:
        _current = None


def current() -> Office:
    """Return the office of this process.

    Raises: ChannelLayerUnavailable in a program that has named no layer.
    """
    if _current is not None:
        return _current
    from uvicorn.layers.program import office_of_program  # not where there is a server

    return office_of_program()


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
