"""The TLS context of a worker: Gunicorn's, with what we offer by ALPN."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final

from gunicorn import sock
from gunicorn.errors import AppImportError

from uvicorn.command.named import WrongValue, check_file
from uvicorn.command.settings import read

__all__ = ["make_ssl_context"]

#: RFC 7301. Without it some clients take a server that says nothing for one of HTTP/1.0, or give up.
_PROTOCOLS: Final = ("http/1.1",)


def make_ssl_context(cfg: Any, protocols: Sequence[str] = _PROTOCOLS) -> ssl.SSLContext | None:
    """Return the context that Gunicorn's settings ask for; None if they ask for no TLS.

    Args:
        protocols: what is offered by ALPN, in the order of preference.

    Raises: AppImportError with one sentence, if the certificate cannot be used.

    The `ssl_context` hook has the last word: what it does to our context, or makes itself, is left as it is.
    """
    context: ssl.SSLContext | None = sock.ssl_context(_Config(cfg, protocols)) if cfg.is_ssl else None
    return context


def _sentence(cfg: Any, error: OSError) -> str:
    """Return what is wrong with the files of a context."""
    try:
        for setting in ("certfile", "keyfile", "ca_certs"):
            if cfg.settings[setting].get():
                check_file(setting, cfg.settings[setting].get())
    except WrongValue as wrong:
        return str(wrong)
    key = f" and keyfile {cfg.keyfile!r}" if cfg.keyfile else ", which must have the key, too (there is no keyfile),"
    why = error.strerror or " ".join(map(str, error.args))
    return f"certfile {cfg.certfile!r}{key} cannot be used: {why}; both must be PEM, belong together and be complete"


def _with_password(cfg: Any, password: str) -> ssl.SSLContext:
    """Return what Gunicorn would make, if it knew the password of the key. Raises: OSError, ssl.SSLError."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=cfg.ca_certs)
    context.load_cert_chain(certfile=cfg.certfile, keyfile=cfg.keyfile, password=password)
    context.verify_mode = ssl.VerifyMode(cfg.cert_reqs)
    if cfg.ciphers:
        context.set_ciphers(cfg.ciphers)
    return context


class _Config:
    """Gunicorn's settings, with a default context for the hook that offers our protocols."""

    def __init__(self, cfg: Any, protocols: Sequence[str]) -> None:
        self._cfg = cfg
        self._protocols = [*protocols]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cfg, name)

    def ssl_context(self, _: Any, make_default: Callable[[], ssl.SSLContext]) -> Any:
        def make() -> ssl.SSLContext:
            password = read(self._cfg)["keyfile_password"]
            try:
                context = _with_password(self._cfg, password) if password else make_default()
            except OSError as error:  # ssl.SSLError is one
                raise AppImportError(_sentence(self._cfg, error)) from None
            context.set_alpn_protocols(self._protocols)
            return context

        return self._cfg.ssl_context(self._cfg, make)
