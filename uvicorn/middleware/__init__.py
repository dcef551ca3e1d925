"""ASGI applications around others, by the names under which other packages import them."""

from __future__ import annotations

from typing import Any, Final

from uvicorn.command.missing import refuse

_INSTEAD: Final = {
    "asgi2": "say interface='asgi2'",
    "message_logger": "log_level='trace' logs no messages; put an application of your own around yours",
}


def __getattr__(name: str) -> Any:
    return refuse(__name__, name, _INSTEAD)
