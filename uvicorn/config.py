"""`Config` and the constants around it, by the names under which other packages import them."""

from __future__ import annotations

import logging
from typing import Any, Final, Literal

from uvicorn.command.config import Config
from uvicorn.command.formatters import TRACE_LOG_LEVEL
from uvicorn.command.log_setup import LOG_LEVELS, LOGGING_CONFIG
from uvicorn.command.missing import found_elsewhere, refuse

__all__ = [
    "INTERFACES", "LIFESPAN", "LOGGING_CONFIG", "LOG_LEVELS", "LOOP_FACTORIES", "SSL_PROTOCOL_VERSION",
    "STARTUP_FAILURE", "TRACE_LOG_LEVEL", "Config", "HTTPProtocolType", "InterfaceType", "LifespanType",
    "LoopFactoryType", "UvicornDeprecationWarning", "WSProtocolType", "logger",
]  # fmt: skip

logger: Final = logging.getLogger("uvicorn.error")

HTTPProtocolType = Literal["auto", "h11", "httptools", "zttp"]
WSProtocolType = Literal["auto", "none", "websockets", "websockets-sansio", "wsproto"]
LifespanType = Literal["auto", "on", "off"]
LoopFactoryType = Literal["none", "auto", "asyncio", "uvloop", "zuvloop"]
InterfaceType = Literal["auto", "asgi3", "asgi2", "wsgi"]

INTERFACES: Final[list[str]] = ["auto", "asgi3", "asgi2", "wsgi"]
LIFESPAN: Final[dict[str, str]] = {name: name for name in ("auto", "on", "off")}
LOOP_FACTORIES: Final[dict[str, str | None]] = {
    "none": None,
    "auto": "uvloop:new_event_loop",
    "asyncio": "asyncio:SelectorEventLoop",
    "uvloop": "uvloop:new_event_loop",
}
SSL_PROTOCOL_VERSION: Final = 17  # ssl.PROTOCOL_TLS_SERVER
STARTUP_FAILURE: Final = 3

_ELSEWHERE: Final = {
    "ASGIApplication": "uvicorn._types",
    "ImportFromStringError": "uvicorn.importer",
    "import_from_string": "uvicorn.importer",
    "ProxyHeadersMiddleware": "uvicorn.middleware.proxy_headers",
    "WSGIMiddleware": "uvicorn.middleware.wsgi",
}
_INSTEAD: Final = {
    "ASGI2Middleware": "give interface='asgi2'",
    "MessageLoggerMiddleware": "put a middleware of your own around the application",
    "HTTP_PROTOCOLS": "httptools parses all requests, and there is no choice",
    "WS_PROTOCOLS": "the library websockets reads all frames, and there is no choice",
    "create_ssl_context": "load a Config with ssl_certfile, and take its `ssl`",
    "is_dir": "use pathlib.Path.is_dir",
    "resolve_reload_patterns": "reload_dirs, reload_includes and reload_excludes of a Config are as they were given",
}


class UvicornDeprecationWarning(UserWarning):
    """A warning of the other package about what it will take away. Nothing here warns so: filters may name it."""


def __getattr__(name: str) -> Any:
    return found_elsewhere(name, _ELSEWHERE) if name in _ELSEWHERE else refuse(__name__, name, _INSTEAD)
