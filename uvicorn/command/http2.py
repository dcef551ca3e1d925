"""HTTP/2 as Gunicorn's settings ask for it: whether, by which engine, with which limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from gunicorn.errors import ConfigError

from uvicorn.command.setting_types import OurSetting, one_of
from uvicorn.wire.h2_engines import ENGINES, engine_maker, find_engine
from uvicorn.wire.limits import Http2Limits, Limits

if TYPE_CHECKING:
    from uvicorn.connections.h2_connection import Http2

__all__ = [
    "HTTP2_SETTINGS", "DefaultProtocols", "alpn_protocols", "check_http2", "described_engine", "http2_limits",
    "make_http2",
]  # fmt: skip

_ALPN: Final = {"h1": "http/1.1", "h2": "h2"}


class Http2Engine(OurSetting):
    name = "http2_engine"
    cli: ClassVar = ["--http2-engine"]
    meta = "NAME"
    validator = one_of("http2_engine", "auto", *ENGINES)
    default = "auto"
    desc = """\
        What reads and writes the frames of HTTP/2: ``ngh2`` (libnghttp2, in C), ``h2`` (pure Python, slow), or
        ``auto``, the default: ngh2 if it is installed, else h2.
        """


HTTP2_SETTINGS: Final = (Http2Engine,)


class DefaultProtocols(list[str]):
    """Protocols that nobody has set: HTTP/2 too, with TLS and where an engine is installed."""


def http2_limits(cfg: Any, most_fields: int) -> Http2Limits:
    """Return the limits of Gunicorn's settings.

    Args:
        most_fields: `limit_request_fields`.
    """
    return Http2Limits(
        streams=cfg.http2_max_concurrent_streams,
        window_size=cfg.http2_initial_window_size,
        frame_size=cfg.http2_max_frame_size,
        header_list_size=cfg.http2_max_header_list_size,
        most_fields=2 * most_fields + 100,  # a cookie may come in many crumbs
    )


def check_http2(cfg: Any, engine: str) -> list[str]:
    """Return lines about settings that have no effect.

    Raises: RuntimeError for what cannot be served.
    """
    if cfg.http2_cleartext == "upgrade":
        raise RuntimeError(
            "http2_cleartext = 'upgrade' cannot be served by uvicorn.ASGIWorker: RFC 9113 has taken it out of HTTP/2; "
            "use 'prior-knowledge', or 'both'"
        )
    if _is_wanted(cfg, engine) and not find_engine(engine):
        raise RuntimeError(f"http_protocols has h2, and no engine for it is installed ({engine}): uvicorn[http2] has")
    lines = []
    if cfg.http2_cleartext == "both":
        lines.append("http2_cleartext = 'both': a request to upgrade is answered over HTTP/1.1, as RFC 9113 has it")
    if cfg.http2_cleartext != "off" and "h2" not in cfg.http_protocols:
        lines.append("Setting http2_cleartext has no effect: http_protocols has no h2")
    return lines


def alpn_protocols(cfg: Any, engine: str) -> list[str]:
    """Return what is offered in a TLS handshake, in the order of preference."""
    if isinstance(cfg.http_protocols, DefaultProtocols) and _is_wanted(cfg, engine):
        return ["h2", "http/1.1"]
    names = [_ALPN[name] for name in cfg.http_protocols if name in _ALPN]
    return names or ["http/1.1"]


def make_http2(cfg: Any, engine: str, limits: Limits) -> tuple[Http2 | None, str]:
    """Return what serves HTTP/2, and the name of its engine; (None, "") if it is not served.

    Raises: ConfigError if the engine cannot be imported.
    """
    is_cleartext = cfg.http2_cleartext != "off" and not cfg.is_ssl
    if not _is_wanted(cfg, engine) or not (cfg.is_ssl or is_cleartext):
        return None, ""
    from uvicorn.connections.h2_connection import Http2  # memory and time that other servers need not spend

    try:
        make_engine, name = engine_maker(find_engine(engine), limits.http2)
    except ImportError as error:
        raise ConfigError(f"HTTP/2 cannot be served: {error}") from None
    return Http2(make_engine, cfg.http2_cleartext if is_cleartext else "off"), name


def described_engine() -> str:
    """Return the engine that would serve HTTP/2, for people."""
    found = find_engine("auto")
    if not found:
        return "none (uvicorn[http2] installs one)"
    try:
        return engine_maker(found, Http2Limits())[1]
    except ImportError as error:
        return f"none ({error})"


def _is_wanted(cfg: Any, engine: str) -> bool:
    """Whether HTTP/2 is asked for: by name, or by default, where it can be served."""
    if "h2" in cfg.http_protocols:
        return True
    return isinstance(cfg.http_protocols, DefaultProtocols) and bool(cfg.is_ssl) and bool(find_engine(engine))
