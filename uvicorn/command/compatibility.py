"""Gunicorn's settings that we refuse, or that have no effect here: said at start, each by its name."""

from __future__ import annotations

from typing import Any, Final

from uvicorn.command.http2 import check_http2
from uvicorn.command.settings import read
from uvicorn.watching.exposition import is_available

__all__ = ["check"]

# name -> why it has no effect; warned about when it is not at its default
_NO_EFFECT: Final = {
    "suppress_ragged_eofs": "the event loop does the TLS",
    "do_handshake_on_connect": "the event loop does the TLS handshake",
    "http_parser": "httptools parses the requests",
    "permit_obsolete_folding": "httptools is always strict here",
    "strip_header_spaces": "httptools is always strict here",
    "permit_unconventional_http_method": "httptools knows the registered methods only",
    "permit_unconventional_http_version": "HTTP/1.0 and HTTP/1.1 are served",
    "casefold_http_method": "methods are case-sensitive",
    "ssl_version": "the ssl_context hook sets TLS versions",
    "uwsgi_allow_ips": "the uwsgi protocol is not served",
    "spew": "it traces the main thread only",
}


def check(cfg: Any, http2_engine: str = "auto") -> list[str]:
    """Return a line for each setting that was changed and has no effect.

    Raises: RuntimeError for a setting that asks for what cannot be served.
    """
    if cfg.protocol != "http":
        raise RuntimeError(f"protocol = {cfg.protocol!r} cannot be served by uvicorn.ASGIWorker: use 'http'")
    if cfg.threads < 1:
        raise RuntimeError("threads must be 1 or more: synchronous consumers run in them")
    if read(cfg)["metrics_bind"] and not is_available():  # a plain `gunicorn` does not know it as a setting
        raise RuntimeError("metrics_bind needs prometheus_client: pip install uvicorn[metrics]")
    lines = check_http2(cfg, http2_engine)
    for name, reason in _NO_EFFECT.items():
        setting = cfg.settings.get(name)
        if setting is not None and setting.get() != type(setting)().get():
            lines.append(f"Setting {name} has no effect with uvicorn.ASGIWorker: {reason}")
    return lines
