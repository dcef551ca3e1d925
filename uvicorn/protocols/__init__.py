"""What other packages import of the other package's protocols; the protocols themselves are not here."""

from __future__ import annotations

from typing import Any, Final

from uvicorn.command.missing import refuse

_INSTEAD: Final = dict.fromkeys(
    ("http", "websockets"), "its connections are private (uvicorn.connections); serve with uvicorn.Server"
)


def __getattr__(name: str) -> Any:
    return refuse(__name__, name, _INSTEAD)
