"""Groups and channels in a program that is no server: it names a layer, and sends through it."""

from __future__ import annotations

from uvicorn.errors import ChannelLayerUnavailable
from uvicorn.layers.office import Office
from uvicorn.layers.urls import check_url

__all__ = ["office_of_program", "open_office"]


def office_of_program() -> Office:
    """Return the office of a program.

    Raises: ChannelLayerUnavailable if it has named no layer.
    """
    raise ChannelLayerUnavailable("this process is no worker of uvicorn")


def open_office(url: str) -> Office:
    """Return an office that sends through a layer.

    Raises: ValueError for a wrong URL; ChannelLayerUnavailable.
    """
    raise ChannelLayerUnavailable(f"{check_url(url)} cannot be reached from here")
