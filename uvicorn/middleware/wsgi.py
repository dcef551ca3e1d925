"""`WSGIMiddleware`, by the name under which other packages import it; WSGI applications are served without it."""

from __future__ import annotations

from typing import Any, Final

from uvicorn.applications.wsgi_in_asgi import WSGIMiddleware
from uvicorn.command.missing import refuse

__all__ = ["WSGIMiddleware"]

_INSTEAD: Final = dict.fromkeys(
    ("build_environ", "WSGIResponder"),
    "serve the application itself, with interface='wsgi'",
)


def __getattr__(name: str) -> Any:
    return refuse(__name__, name, _INSTEAD)
