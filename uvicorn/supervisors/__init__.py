"""What runs a server in other processes, by the names under which other packages import it."""

from __future__ import annotations

from typing import Any, Final

from uvicorn.command.missing import refuse
from uvicorn.supervisors.multiprocess import Multiprocess
from uvicorn.supervisors.reload import BaseReload, ChangeReload

__all__ = ["BaseReload", "ChangeReload", "Multiprocess"]

_INSTEAD: Final = dict.fromkeys(
    ("StatReload", "WatchFilesReload", "basereload", "statreload", "watchfilesreload"),
    "there is one supervisor that reloads: uvicorn.supervisors.ChangeReload",
)


def __getattr__(name: str) -> Any:
    return refuse(__name__, name, _INSTEAD)
