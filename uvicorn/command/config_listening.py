"""What a `uvicorn.Config` listens with: the socket that it binds, and its TLS context."""

from __future__ import annotations

import logging
import socket
import ssl
import sys
from typing import Any, Final

from gunicorn.errors import AppImportError

from uvicorn.command.http2 import alpn_protocols
from uvicorn.command.listening import bind_fd, bind_host, bind_uds, shown
from uvicorn.command.settings import Settings

__all__ = ["bound_socket", "made_ssl_context"]

logger: Final = logging.getLogger("uvicorn.error")

_STARTUP_FAILURE: Final = 1


def bound_socket(config: Any) -> socket.socket:
    """Return a socket that is bound where a `Config` says. Raises: SystemExit, with one line in the log."""
    try:
        if config.uds:
            sock = bind_uds(str(config.uds))
        elif config.fd is not None:
            sock = bind_fd(config.fd)
        else:
            sock, *others = bind_host(config.host, config.port)
            for other in others:
                other.close()
    except OSError as error:
        logger.error("%s", error)
        sys.exit(_STARTUP_FAILURE)
    logger.info("Uvicorn running on %s (Press CTRL+C to quit)", shown(sock, "https" if config.is_ssl else "http"))
    sock.set_inheritable(True)
    return sock


def made_ssl_context(config: Any) -> ssl.SSLContext:
    """Return the context of a `Config` with TLS; its `ssl_context_factory` has the last word.

    Raises: SystemExit, with one line in the log, if the certificate cannot be used; ValueError if there is none; what
        the factory raises.
    """
    from uvicorn.command.tls import make_ssl_context  # where there is TLS

    def make() -> ssl.SSLContext:
        cfg = config.settings()
        try:
            context = make_ssl_context(cfg, alpn_protocols(cfg, Settings.from_config(cfg).http2_engine))
        except AppImportError as error:
            logger.error("%s", error)
            sys.exit(_STARTUP_FAILURE)
        if context is None:
            raise ValueError("ssl_certfile is missing")
        return context

    factory = config.ssl_context_factory
    made: ssl.SSLContext = make() if factory is None else factory(config, make)
    return made
